"""What a run with a policy of 7B needs, reckoned from its parameters: GPU hours, questions, room.

    python bench/needs.py workflow/presets/paper.yaml
    python bench/needs.py workflow/presets/paper.yaml workflow/presets/rehearsal.yaml
    python bench/needs.py workflow/presets/paper.yaml --tokens 300 --tokens-per-second 8000

Nothing is measured here. What the options assume of a GPU is to be replaced by what yours does:
`python bench/training.py --shape 7b` measures a training step on it. "At most" is with every
completion as long as it may be.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from speciarl.config import Params, load
from speciarl.datasets.miniature.catalogue import catalogue
from speciarl.prompts import FOR_THE_JUDGES, load_from

ROOT = Path(__file__).parents[1]
# Qwen2.5-VL-7B-Instruct as its config.json has it (the shape "7b" of bench/training.py)
LAYERS, WIDTH, INNER, KEYS, VOCABULARY = 28, 3584, 18_944, 512, 152_064
BLOCKS, VISUAL_WIDTH, VISUAL_INNER, PATCHES_PER_TOKEN = 32, 1280, 3420, 4
BF16 = 2  # bytes
MATRICES = [*[(WIDTH, WIDTH)] * 2, *[(WIDTH, KEYS)] * 2, *[(WIDTH, INNER)] * 3]  # of a layer
EMBEDDING = VOCABULARY * WIDTH
# that each token goes through, the last matrix of the embedding's size among them
WEIGHTS = LAYERS * sum(a * b for a, b in MATRICES) + EMBEDDING
TOWER = BLOCKS * (4 * VISUAL_WIDTH**2 + 3 * VISUAL_WIDTH * VISUAL_INNER)
MERGER = 4 * VISUAL_WIDTH * (4 * VISUAL_WIDTH + WIDTH)
STORED = BF16 * (WEIGHTS + EMBEDDING + TOWER + MERGER)
KEYS_AND_VALUES = BF16 * 2 * LAYERS * KEYS  # of a token
QUESTION = 80  # tokens of a prompt beside its image
PIXELS = 28 * 28  # of a token
MOST_PIXELS = 16_384 * PIXELS  # the limit of Qwen's processor
PASSES = 3  # forward, forward again for its activations, backward through weights that do not learn
CHARACTERS = 4  # of a token, in English
KEPT = 2  # checkpoints of a training (speciarl/training/checkpoints.py)


class Row(NamedTuple):
    stage: str
    run: str
    completions: int
    gpus: int
    hours: float
    at_most: float


@dataclass(frozen=True)
class Needs:
    params: Params
    tokens: float
    """Of a completion."""
    rate: float
    """Tokens that vLLM draws on a GPU in a second."""
    flops: float
    """That a GPU does in a second, in passes through the whole policy."""
    start: float
    """Hours that a job takes to import, load and compile."""

    @cached_property
    def tests(self) -> int:
        """Images of all test splits."""
        datasets = self.params.datasets
        if datasets.mirror == "miniature":
            drawn = self.params.miniature
            classes = catalogue(drawn.classes_per_group)
            return drawn.test_per_class * sum(len(classes[name]) for name in datasets.splits)
        with (ROOT / "data/counts.csv").open() as file:
            return sum(
                int(row["images"])
                for row in csv.DictReader(file)
                if (row["mirror"], row["split"]) == ("real", "test")
                and datasets.splits.get(row["dataset"]) == row["kind"]
            )

    @property
    def image(self) -> int:
        """The most tokens of an image."""
        if self.params.datasets.mirror == "miniature":
            return self.params.miniature.image_size**2 // PIXELS
        return (self.params.policy.max_pixels or MOST_PIXELS) // PIXELS

    def pass_seconds(self, tokens: float) -> float:
        """One pass of an image, its question and a completion through the policy, on one GPU."""
        shown = 2 * TOWER * PATCHES_PER_TOKEN * self.image
        return (2 * WEIGHTS * (self.image + QUESTION + tokens) + shown) / self.flops

    def trained(self, run: str, tokens: float) -> float:
        """Hours of a training with completions so long."""
        training, grpo = self.params.training, self.params.section_of(run, "grpo")
        if self.params.runs[run].method == "sft":
            sft = self.params.section_of(run, "sft")
            images = self.images_of(run)
            said = images * sft.reasoning_tokens / self.rate
            passed = images * sft.epochs * PASSES * self.pass_seconds(tokens) / training.devices
            return self.start + (said + passed) / 3600
        completions = grpo.prompts_per_step * self.params.runs[run].num_generations
        served = training.rollouts == "vllm-server"
        drawing = training.server_devices if served else training.devices
        passes = PASSES + (grpo.updates_per_step > 1) + (grpo.beta > 0)  # and old policy, and base
        step = completions * (
            tokens / self.rate / drawing + passes * self.pass_seconds(tokens) / training.devices
        )
        return self.start + grpo.steps * step / 3600

    def images_of(self, run: str) -> int:
        return self.params.training_sets[self.params.runs[run].training_set].size or 0

    def predicted(self, completions: int, tokens: float) -> float:
        prompts = self.tests * self.pass_seconds(0)
        return self.start + (completions * tokens / self.rate + prompts) / 3600

    def rows(self) -> Iterator[Row]:
        for name, run in self.params.runs.items():
            if run.method == "none":
                continue
            grpo = self.params.section_of(name, "grpo")
            drawn = grpo.steps * grpo.prompts_per_step * run.num_generations
            completions = drawn if run.method == "grpo" else self.images_of(name)
            most = grpo.max_new_tokens if run.method == "grpo" else self.params.sft.reasoning_tokens
            gpus = self.params.job("train", name).gpu or 0
            hours = (len(run.seeds) * self.trained(name, n) for n in (self.tokens, most))
            yield Row("train", name, len(run.seeds) * completions, gpus, *hours)
        for name, run in self.params.runs.items():
            completions = self.tests * run.best_of * len(run.seeds)
            lengths = (self.tokens, self.params.evaluation.max_new_tokens)
            hours = (self.predicted(completions, n) for n in lengths)
            yield Row("predict", name, completions, self.params.evaluation.tensor_parallel, *hours)

    @property
    def adapters(self) -> int:
        """Weights that learn."""
        return LAYERS * self.params.lora.rank * sum(a + b for a, b in MATRICES)


def archives(params: Params) -> int:
    """Bytes of the archives that are fetched, where their sizes are known."""
    datasets = params.datasets
    with (ROOT / "data/sources.csv").open() as file:
        return sum(
            int(row["size"] or 0)
            for row in csv.DictReader(file)
            if row["mirror"] == datasets.mirror and row["dataset"] in datasets.splits
        )


def describe(needs: Needs) -> Iterator[str]:
    params, rows = needs.params, list(needs.rows())
    yield f"{'':22}completions  GPUs    hours  at most  GPU hours  at most"
    for row in rows:
        both = f"{row.hours:9.2f}{row.at_most:9.2f}"
        both += f"{row.gpus * row.hours:11.2f}{row.gpus * row.at_most:9.2f}"
        yield f"{row.stage:9}{row.run:13}{row.completions:11,}{row.gpus:6}{both}"
    expected = sum(row.gpus * row.hours for row in rows)
    yield f"{'':58}{expected:11.2f}{sum(row.gpus * row.at_most for row in rows):9.2f}"
    judged = [row for row in rows if (row.stage, params.runs[row.run].method) != ("train", "sft")]
    for stage, section in (("train", params.verifier), ("predict", params.judge)):
        if section.model is None:
            continue
        asked = sum(row.completions for row in judged if row.stage == stage)
        prompt = len(load_from(FOR_THE_JUDGES, section.model.prompt)) / CHARACTERS
        yield (
            f"questions to {section.model.name}: at most {asked:,}, "
            f"{asked * prompt / 1e6:,.0f} million tokens of prompts"
        )
    learns, micro = needs.adapters, params.grpo.per_device_batch_size
    kept = micro * (needs.image + QUESTION + params.grpo.max_new_tokens) * LAYERS * WIDTH * BF16
    yield (
        f"GB of a GPU in training: weights {STORED / 1e9:.1f}, adapters with gradients and "
        f"optimizer {16 * learns / 1e9:.1f}, activations at most {kept / 1e9:.1f}"
    )
    if params.training.rollouts == "transformers" and params.grpo.generation_tokens:
        together = params.grpo.generation_tokens * KEYS_AND_VALUES
        yield f"GB of keys and values, while it generates: {together / 1e9:.1f}"
    trained = sum(len(run.seeds) for run in params.runs.values() if run.method != "none")
    written = sum(row.completions for row in rows) * needs.tokens * CHARACTERS
    gigabytes = {
        "archives": archives(params),
        "policy": STORED,
        "checkpoints of a training": KEPT * 12 * learns,
        "adapters": trained * 4 * learns,
        "text": written,
    }
    yield "GB of disk: " + ", ".join(f"{what} {n / 1e9:.1f}" for what, n in gigabytes.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="what is put over params.yaml")
    parser.add_argument("--tokens", type=float, default=200, help="of a completion")
    parser.add_argument("--tokens-per-second", type=float, default=5000, help="of vLLM, on a GPU")
    parser.add_argument("--tflops", type=float, default=400, help="of a GPU, in training")
    parser.add_argument("--start", type=float, default=3, help="minutes until a job computes")
    asked = parser.parse_args()
    params = load([ROOT / "params.yaml", *asked.files])
    if params.policy.source == "miniature":
        parser.error("the policy is the miniature: name files that have one of 7B, as paper.yaml")
    needs = Needs(
        params, asked.tokens, asked.tokens_per_second, asked.tflops * 1e12, asked.start / 60
    )
    print("\n".join(describe(needs)))


if __name__ == "__main__":
    main()
