"""A project just before its training: a policy that has learned to answer, images, facts."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import torch
import yaml

from speciarl.cache.index import KEY
from speciarl.config import load
from speciarl.datasets.miniature.catalogue import catalogue
from speciarl.datasets.miniature.render import render
from speciarl.policy.chat import load_prompt, messages
from speciarl.policy.miniature.architecture import build_model, build_processor, build_tokenizer
from speciarl.policy.miniature.curriculum import all_texts, completion
from speciarl.schemas import VERDICTS

ROOT = Path(__file__).parents[1]
SIZE = 56
CLASSES = catalogue()["cub200"][:4]
LEVELS = ("name", "group", "generic")

PARAMS = {
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.0},
    "grpo": {
        "steps": 2, "prompts_per_step": 4, "updates_per_step": 2, "per_device_batch_size": 8,
        "loss_type": "dapo", "checkpoint_every": 1,
    },
    "sft": {"epochs": 1.0, "reasoning_tokens": 8, "batch_size": 4, "per_device_batch_size": 4},
    "runs": {
        "zero_shot": {},
        "sft": {"method": "sft"},
        "speciarl": {"method": "grpo", "num_generations": 4, "seeds": [1]},
    },
}  # fmt: skip


def teach(folder: Path, images: list, steps: int = 60) -> None:
    """Save a policy that has seen these images, each with a prediction of each of `LEVELS`."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(all_texts())
    processor, model = build_processor(tokenizer, SIZE), build_model(tokenizer, seed=0).train()
    question = processor.apply_chat_template(
        messages(load_prompt("plain")), add_generation_prompt=True, tokenize=False
    )
    said = [completion(one, level, visible=False) for one in CLASSES for level in LEVELS]
    shown = [image for image in images[: len(CLASSES)] for _ in LEVELS]
    batch = processor(
        images=shown, text=[f"{question}{text}<|im_end|>" for text in said],
        padding=True, padding_side="right", return_tensors="pt",
    )  # fmt: skip
    prompt = processor(images=shown[:1], text=[question])["input_ids"][0]
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    labels[:, : len(prompt)] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def create(folder: Path, **over) -> Path:
    """A folder in which `speciarl train` runs; `over` are sections that override `PARAMS`."""
    (folder / "images").mkdir(parents=True)
    images = [
        render(one, np.random.default_rng(i), ambiguous=False, size=SIZE)
        for i in range(2)
        for one in CLASSES
    ]
    names = [f"images/{number}.png" for number in range(len(images))]
    for image, name in zip(images, names, strict=True):
        image.save(folder / name)
    samples = pl.DataFrame(
        {"image": names, "class_name": [one.name for _ in range(2) for one in CLASSES]}
    ).with_columns(dataset=pl.lit("cub200"))
    for path in ("data/raw/cub200", "data/training", "data/verdicts/precomputed"):
        (folder / path).mkdir(parents=True)
    (folder / "data/raw/cub200/files.json").write_text("{}")
    samples.write_parquet(folder / "data/training/cub200.parquet")
    known = dict.fromkeys(("verifier", *VERDICTS), pl.String) | dict.fromkeys(KEY, pl.UInt64)
    pl.DataFrame(schema=known).write_parquet(folder / "data/verdicts/precomputed/cub200.parquet")
    (folder / "data/taxonomies").symlink_to(ROOT / "data/taxonomies")
    (folder / "workflow").symlink_to(ROOT / "workflow")
    teach(folder / "models/base", images)
    change(folder, **over)
    return folder


def change(folder: Path, **over) -> None:
    """Write params.yaml anew: the project's own, then `PARAMS`, then these sections."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for sections in (PARAMS, over):
        for name, values in sections.items():
            params[name] = params[name] | values if name != "runs" else values
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    load([folder / "params.yaml"])


def copy(folder: Path, into: Path) -> Path:
    shutil.copytree(folder, into, symlinks=True)
    return into
