"""Prints where the seconds of a training step go, for the miniature and for the paper's policy.

    python bench/training.py                      # the miniature, of models/base where it is there
    python bench/training.py --shape 7b --prompts 8 --new-tokens 512 \\
        --attention sdpa flash_attention_2        # needs a GPU; weights are random, nothing is read
    python bench/training.py --shape tiny         # what 7b does, in seconds on a CPU

What is timed is the project's own training (`train_verified`) after its first step. A random policy
hardly ever ends a completion, so that each has --new-tokens tokens: the most a step can take.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import torch
import trl.trainer.grpo_trainer as of_trl
from accelerate import Accelerator
from PIL import Image
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    set_seed,
)

from speciarl.config import load
from speciarl.datasets.miniature.catalogue import catalogue
from speciarl.errors import one_line
from speciarl.policy.miniature.architecture import build_processor, build_tokenizer
from speciarl.policy.miniature.curriculum import all_texts
from speciarl.training import grpo
from speciarl.training.job import Inputs, Job, Settings
from speciarl.training.verified import train_verified

ROOT = Path(__file__).parents[1]
SIDE = 28  # pixels of a token of the language model

# Qwen2.5-VL-7B-Instruct as its config.json has it; `tiny` is the same at no size.
SHAPES = {
    "7b": {
        "text_config": {
            "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
            "max_position_embeddings": 128000, "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6,
            },
        },
        "vision_config": {
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
            "out_hidden_size": 3584, "tokens_per_second": 2,
        },
    },
    "tiny": {
        "text_config": {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 4096,
            "rope_parameters": {
                "rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6,
            },
        },
        "vision_config": {
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
            "out_hidden_size": 32, "fullatt_block_indexes": [1],
        },
    },
}  # fmt: skip
DEFAULTS = {
    "7b": {"steps": 3, "prompts": 8, "rollouts": 10, "micro": 4, "new_tokens": 512,
           "pixels": 401_408},
    "tiny": {"steps": 2, "prompts": 2, "rollouts": 2, "micro": 2, "new_tokens": 4,
             "pixels": 56 * 56},
    "miniature": {"steps": 12},
}  # fmt: skip

PHASES = ("images", "generation", "log-probs", "reference", "reward", "backward", "rest")


class Clock:
    """Seconds of each phase; a phase within another counts for itself alone."""

    def __init__(self) -> None:
        self.open = ["rest"]
        self.spent: Counter[str] = Counter()
        self.measured: list[Counter[str]] = []
        self.last = time.perf_counter()

    def _spend(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.spent[self.open[-1]] += now - self.last
        self.last = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._spend()
        self.open.append("reference" if "reference" in self.open else name)
        try:
            yield
        finally:
            self._spend()
            self.open.pop()

    def timed(self, name: str, call: Callable) -> Callable:
        @wraps(call)
        def within(*given, **named):
            with self.phase(name):
                return call(*given, **named)

        return within

    def update_logged(self, log: Callable) -> Callable:
        @wraps(log)
        def noted(trainer, logs, *given):
            if "loss" in logs:
                self._spend()
                self.measured.append(self.spent)
                self.spent = Counter()
            return log(trainer, logs, *given)

        return noted

    @contextmanager
    def watching(self, job: type[Job]) -> Iterator[None]:
        trainer = grpo.GroupTrainer
        parts = [
            (Qwen2_5_VLProcessor, "__call__", "images"),
            (job, "open_image", "images"),
            (Qwen2_5_VLForConditionalGeneration, "generate", "generation"),
            (trainer, "_get_per_token_logps_and_entropies", "log-probs"),
            (trainer, "_calculate_rewards", "reward"),
            (Accelerator, "backward", "backward"),
        ]

        @contextmanager
        def reference(*given, **named):
            with self.phase("reference"), adapter_off(*given, **named) as model:
                yield model

        adapter_off = of_trl.use_adapter
        with ExitStack() as patches:
            for owner, name, phase in parts:
                call = self.timed(phase, getattr(owner, name))
                patches.enter_context(patch.object(owner, name, call))
            patches.enter_context(patch.object(of_trl, "use_adapter", reference))
            patches.enter_context(patch.object(trainer, "log", self.update_logged(trainer.log)))
            yield


@dataclass(frozen=True)
class Drawn(Job):
    """A job whose policy and images are random, of a shape and a size."""

    shape: str = "tiny"
    attention: str = "sdpa"
    side: int = 56
    """Of the square images, in pixels."""

    def policy(self):
        set_seed(self.seed)
        tokenizer = build_tokenizer(all_texts())
        model = drawn_model(self.shape, tokenizer.get_vocab(), self.attention)
        return model.train(), build_processor(tokenizer, self.side)

    def samples(self) -> pl.DataFrame:
        names = [one.name for one in catalogue()["cub200"]]
        rows = {"class_name": names, "image": [f"{name}.png" for name in names]}
        return pl.DataFrame(rows).with_columns(dataset=pl.lit("cub200"))

    def open_image(self, reference: str) -> Image.Image:
        chance = np.random.default_rng(len(reference))
        return Image.fromarray(chance.integers(256, size=(self.side, self.side, 3), dtype=np.uint8))


def drawn_model(shape: str, vocabulary: dict[str, int], attention: str, device: str | None = None):
    """Random weights in the type that training has them in, made where they are used."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    marks = {f"{name}_token_id": vocabulary[f"<|{name}_pad|>"] for name in ("image", "video")}
    marks |= {f"vision_{name}_token_id": vocabulary[f"<|vision_{name}|>"]
              for name in ("start", "end")}  # fmt: skip
    config = Qwen2_5_VLConfig(**SHAPES[shape], **marks, tie_word_embeddings=False)
    with torch.device(device):
        return Qwen2_5_VLForConditionalGeneration._from_config(
            config,
            dtype=torch.float32 if device == "cpu" else torch.bfloat16,
            attn_implementation=attention,
        )


@dataclass(frozen=True)
class Measured:
    seconds: dict[str, float]
    """Of a step, by phase."""
    tokens: float
    """Of the completions of a step."""
    gib: float
    """The most memory: of the GPU, or of the process where there is none."""

    def row(self, name: str) -> str:
        step = sum(self.seconds.values())
        shares = "".join(f"{self.seconds[phase] / step:>12.1%}" for phase in PHASES)
        return f"{name:<18}{step:>8.2f}{self.tokens / step:>10.0f}{self.gib:>8.1f}{shares}"


HEADER = f"{'attention':<18}{'s a step':>8}{'tokens/s':>10}{'GiB':>8}" + "".join(
    f"{phase:>12}" for phase in PHASES
)


def measure(job: Job) -> Measured:
    """Train; the first step, which warms up, does not count."""
    clock = Clock()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with clock.watching(type(job)):
        steps = train_verified(job).metrics
    updates = job.settings.grpo.updates_per_step
    counted = sum(clock.measured[updates:], Counter())
    batch = job.settings.grpo.prompts_per_step * job.settings.run.num_generations
    if torch.cuda.is_available():
        gib = torch.cuda.max_memory_allocated() / 2**30
    else:
        gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = {phase: counted[phase] / (steps.height - 1) for phase in PHASES}
    return Measured(seconds, steps["completion_length"][1:].mean() * batch, gib)


def miniature(project: Path, work: Path, steps: int) -> Job:
    """The first steps of the run `speciarl`; with random weights where there is no base policy."""
    params = load([project / "params.yaml"])
    settings = Settings(
        run=params.runs["speciarl"],
        grpo=params.section_of("speciarl", "grpo").model_copy(update={"steps": steps}),
        lora=params.section_of("speciarl", "lora"),
        verifier=params.verifier,
    )
    read = Inputs(
        base=project / "models/base",
        samples=project / "data/training/cub200.parquet",
        verdicts=[project / "data/verdicts/precomputed/cub200.parquet"],
        classes=dict.fromkeys(sorted(params.datasets.splits), ()),
        facts=project / "data/taxonomies",
        store=work / "cache.duckdb",
        images=project,
    )
    into = work / "adapters"
    if all(path.exists() for path in (read.base, read.samples, *read.verdicts)):
        return Job("bench", 42, settings, read, work, into)
    print(f"{project} has no trained miniature (`make reproduce`): random weights and images")
    read = Inputs(images=project, facts=read.facts, store=read.store)
    return Drawn("bench", 42, settings, read, work, into)


def drawn(args: argparse.Namespace, attention: str, work: Path) -> Job:
    settings = Settings(
        run={"method": "grpo", "num_generations": args.rollouts},
        grpo={
            "steps": args.steps, "prompts_per_step": args.prompts,
            "per_device_batch_size": args.micro, "max_new_tokens": args.new_tokens,
            "learning_rate": 3e-5, "beta": 0.01,
        },
        lora={"rank": 64, "alpha": 32},
        verifier={},
    )  # fmt: skip
    read = Inputs(images=ROOT, facts=ROOT / "data/taxonomies", store=work / "cache.duckdb")
    side = max(2, round(args.pixels**0.5 / SIDE)) * SIDE
    return Drawn(
        "bench", 42, settings, read, work, work / "adapters",
        shape=args.shape, attention=attention, side=side,
    )  # fmt: skip


def described(settings: Settings) -> str:
    training = settings.grpo
    return (
        f"{training.steps - 1} steps of {training.prompts_per_step} prompts x "
        f"{settings.run.num_generations} rollouts, up to {training.max_new_tokens} tokens each, "
        f"{training.per_device_batch_size} in a pass"
    )


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=list(DEFAULTS), default="miniature")
    parser.add_argument("--project", type=Path, default=ROOT, help="whose miniature")
    parser.add_argument("--attention", nargs="+", default=["sdpa"])
    for name in DEFAULTS["7b"]:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, dest=name)
    args = parser.parse_args(given)
    for name, value in DEFAULTS[args.shape].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.steps < 2:
        parser.error("--steps: at least 2, of which the first does not count")
    return args


def main(given: list[str] | None = None) -> None:
    args = arguments(given)
    if args.shape == "7b" and not torch.cuda.is_available():
        sys.exit("--shape 7b needs a GPU, and none is here; --shape tiny does the same on a CPU")
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU, one thread"
    torch.set_num_threads(1)
    for number, attention in enumerate(args.attention):
        with tempfile.TemporaryDirectory() as folder:
            if args.shape == "miniature":
                job = miniature(args.project, Path(folder), args.steps)
            else:
                job = drawn(args, attention, Path(folder))
            if number == 0:
                print(f"{args.shape}, {card}: {described(job.settings)}\n{HEADER}")
            try:
                print(measure(job).row(attention), flush=True)
            except (ImportError, ValueError) as error:  # this attention is not to be had here
                print(f"{attention:<18}{one_line(error)}", flush=True)


if __name__ == "__main__":
    main()
