"""Adapters are saved with a configuration that is the same whenever it is written."""

import json

import pytest

from speciarl.training.adapters import save_adapters


class Model:
    """Saves as PEFT does: what is a set there comes in any order."""

    def __init__(self, modules):
        self.modules = modules

    def save_pretrained(self, into):
        into.mkdir()
        (into / "adapter_model.safetensors").write_bytes(b"weights")
        config = {"r": 4, "target_modules": self.modules, "lora_alpha": 8, "base": "é"}
        (into / "adapter_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("modules", [["v_proj", "k_proj"], ["k_proj", "v_proj"]])
def test_the_order_of_modules_and_keys_does_not_change(modules, tmp_path):
    save_adapters(Model(modules), tmp_path / "into")
    files = {path.name: path for path in (tmp_path / "into").iterdir()}
    assert sorted(files) == ["adapter_config.json", "adapter_model.safetensors"]
    assert files["adapter_model.safetensors"].read_bytes() == b"weights"
    values = json.loads(files["adapter_config.json"].read_text())
    assert list(values.items()) == [
        ("base", "é"),
        ("lora_alpha", 8),
        ("r", 4),
        ("target_modules", ["k_proj", "v_proj"]),
    ]
