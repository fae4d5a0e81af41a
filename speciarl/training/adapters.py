"""LoRA adapters: where they sit, and how they are saved."""

import json
from pathlib import Path

from peft import LoraConfig

from speciarl.config import Lora
from speciarl.files import write_json


def lora_config(settings: Lora) -> LoraConfig:
    """Adapters on every linear layer of the language model, none on the visual tower."""
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        exclude_modules=".*visual.*",
    )


def save_adapters(trainer, into: Path) -> None:
    """Write adapters and their configuration, the latter in an order that does not change.

    All processes take part, since each may hold a share of the weights; the first one writes.
    """
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.accelerator.is_main_process:
        return
    trainer.accelerator.unwrap_model(trainer.model).save_pretrained(into, state_dict=weights)
    config = into / "adapter_config.json"
    values = json.loads(config.read_bytes())
    values["target_modules"] = sorted(values["target_modules"])
    write_json(dict(sorted(values.items())), config)
