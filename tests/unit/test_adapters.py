"""Adapters are saved with a configuration that is the same whenever it is written."""

import json
from types import SimpleNamespace

import pytest

from speciarl.training.adapters import save_adapters


class Model:
    """Saves as PEFT does: what is a set there comes in any order."""

    def __init__(self, modules):
        self.modules = modules

    def save_pretrained(self, into, state_dict):
        into.mkdir()
        (into / "adapter_model.safetensors").write_bytes(state_dict)
        config = {"r": 4, "target_modules": self.modules, "lora_alpha": 8, "base": "é"}
        (into / "adapter_config.json").write_text(json.dumps(config))


def trainer(model, first=True):
    """As TRL has one: the weights are gathered from the model that is shared out (`wrapped`)."""
    gathered = []
    accelerator = SimpleNamespace(
        is_main_process=first,
        get_state_dict=lambda wrapped: gathered.append(wrapped) or b"weights",
        unwrap_model=lambda model: model,
    )
    return SimpleNamespace(
        model=model, model_wrapped="shared out", accelerator=accelerator, gathered=gathered
    )


def test_another_process_than_the_first_gives_its_share_and_writes_nothing(tmp_path):
    other = trainer(Model([]), first=False)
    save_adapters(other, tmp_path / "into")
    assert other.gathered == ["shared out"] and not (tmp_path / "into").exists()


@pytest.mark.parametrize("modules", [["v_proj", "k_proj"], ["k_proj", "v_proj"]])
def test_the_order_of_modules_and_keys_does_not_change(modules, tmp_path):
    save_adapters(trainer(Model(modules)), tmp_path / "into")
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
