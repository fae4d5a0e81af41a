"""What sharing repeated images and layouts saves (`speciarl.policy.repeats`), of processor seconds.

    python bench/repeats.py     # the policy of models/base

Both models take turns in one process; printed are the least seconds of each and their ratio.
"""

import time
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from speciarl.config import load
from speciarl.datasets.miniature.catalogue import catalogue
from speciarl.datasets.miniature.render import render
from speciarl.policy import loading
from speciarl.policy.chat import chat_text

BASE = Path("models/base")
TURNS = 5


def seconds(work) -> float:
    begun = time.process_time()
    with torch.inference_mode():
        work()
    return time.process_time() - begun


def main() -> None:
    torch.set_num_threads(1)
    size = load([Path("params.yaml")]).miniature.image_size
    processor = loading.load_processor(BASE)
    shared = loading.load_model(BASE).requires_grad_(False)
    with patch.object(loading, "share_repeats", lambda policy: None):
        plain = loading.load_model(BASE).requires_grad_(False)
    rng = np.random.default_rng(0)
    images = [render(one, rng, ambiguous=False, size=size) for one in catalogue()["cub200"][:16]]
    text = chat_text(processor, "plain")

    def rows(shown):
        return processor(images=shown, text=[text] * len(shown), return_tensors="pt", padding=True)

    sampling = {"do_sample": True, "max_new_tokens": 24}
    cases = {
        "generate, 8 images x 64": lambda model: partial(
            model.generate, **rows(images[:8]), num_return_sequences=64, **sampling
        ),
        "forward, 16 images x 5": lambda model: partial(model, **rows([*images] * 5)),
        "forward, 16 images x 1": lambda model: partial(model, **rows(images)),
    }
    for name, case in cases.items():
        taken = np.array([[seconds(case(m)) for m in (plain, shared)] for _ in range(TURNS)])
        before, after = taken.min(axis=0)
        print(f"{name:24} {before:6.3f} s -> {after:6.3f} s, ratio {after / before:.2f}")


if __name__ == "__main__":
    main()
