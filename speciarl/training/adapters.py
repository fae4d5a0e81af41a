"""What both trainers share: arguments, and LoRA adapters, where they sit and how to save them."""

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig

from speciarl.config import Grpo, Lora, Sft
from speciarl.files import write_json


def common_arguments(settings: Grpo | Sft, *, seed: int, work: Path) -> dict[str, Any]:
    """Arguments of transformers' Trainer that GRPO and SFT set alike."""
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(work),
        "seed": seed,
        "use_cpu": not on_gpu,
        "bf16": on_gpu,
        "gradient_checkpointing": on_gpu,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "logging_steps": 1,
        "disable_tqdm": True,
        "report_to": "none",
    }


def lora_config(settings: Lora) -> LoraConfig:
    """Adapters on every linear layer of the language model, none on the visual tower."""
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        exclude_modules=".*visual.*",
    )


def save_adapters(model, into: Path) -> None:
    """Write adapters and their configuration, the latter in an order that does not change."""
    model.save_pretrained(into)
    config = into / "adapter_config.json"
    values = json.loads(config.read_text())
    values["target_modules"] = sorted(values["target_modules"])
    write_json(dict(sorted(values.items())), config)
