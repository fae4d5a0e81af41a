"""What both ways of training tell TRL alike."""

from pathlib import Path
from typing import Any

import torch

from speciarl.config import Grpo, Sft


def trl_arguments(settings: Grpo | Sft, seed: int, work: Path) -> dict[str, Any]:
    """Arguments that SFTConfig and GRPOConfig share; `work` is for what the trainer saves."""
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(work),
        "seed": seed,
        "use_cpu": not on_gpu,
        "bf16": on_gpu,
        "gradient_checkpointing": on_gpu,
        "ddp_find_unused_parameters": False,  # every adapter is in every forward pass
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "logging_steps": 1,
        "disable_tqdm": True,
        "report_to": "none",
    }
