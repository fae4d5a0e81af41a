"""What both ways of training tell TRL alike."""

from typing import Any

import torch

from speciarl.config import Grpo, Sft
from speciarl.training.job import Job
from speciarl.training.reporting import reporting_arguments


def trl_arguments(job: Job, settings: Grpo | Sft) -> dict[str, Any]:
    """Arguments that SFTConfig and GRPOConfig share, by the section of the job's method."""
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(job.work),
        "seed": job.seed,
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
        **reporting_arguments(job),
    }
