"""Predictions of a policy to the images of a manifest, one row per rollout."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl
import torch

from speciarl.answers import Which, extract_prediction
from speciarl.config import Evaluation, Run
from speciarl.datasets.images import BadImage, open_image
from speciarl.evaluation.parts import Part, Prediction, require_few_unseen, unseen
from speciarl.evaluation.transformers_engine import Engine, SamplingParams, Shown, generate
from speciarl.files import content_hash, write_done, write_parquet
from speciarl.policy.loading import choose_device, load_policy
from speciarl.progress import Progress

log = logging.getLogger(__name__)

SCHEMA = {
    "sample_id": pl.String, "dataset": pl.String, "class_name": pl.String, "rollout": pl.Int32,
    "completion": pl.String, "prediction": pl.String, "error": pl.String, "seed": pl.Int64,
}  # fmt: skip


def predict_parts(
    prediction: Prediction, parts: Sequence[Part], images: Path, threads: int
) -> None:
    """Predict those of some parts that are not whole yet; the policy of a seed is loaded once.

    Args:
        images: what a manifest's `image` is relative to.

    Raises:
        DataError: more images than `evaluation.max_failures` of a dataset cannot be shown. They
            are counted in this process; `gather` counts them all.
    """
    choose_device(prediction.base)
    torch.set_num_threads(threads)
    left = [part for part in parts if not part.whole]
    if not left:
        return
    seeds = list(dict.fromkeys(part.seed for part in left))
    policies = open_policies(
        prediction.settings,
        prediction.base,
        [prediction.trained / str(seed) for seed in seeds],
        prediction.work / f"served-{content_hash([], str(parts[0].path))}",  # a shard's own
    )
    progress, done = Progress("images", sum(part.samples.height for part in left)), 0
    for seed, policy in zip(seeds, policies, strict=True):
        errors = defaultdict[str, list[str]](list)
        of_seed = [part for part in left if part.seed == seed]
        for part, rows in predict(of_seed, policy, prediction, images):
            for error in unseen(rows):
                log.warning("not shown: %s", error)
                errors[part.dataset].append(error)
            max_failures = prediction.settings.max_failures
            require_few_unseen(errors[part.dataset], part.total, part.dataset, max_failures)
            write_parquet(rows, part.path)
            write_done(part.marker, rows.height, [part.path])
            done += part.samples.height
            progress.reached(done)


def predict(
    parts: Sequence[Part], policy: Engine, prediction: Prediction, images: Path
) -> Iterator[tuple[Part, pl.DataFrame]]:
    """The rows of each part, as soon as they are there: SCHEMA, one per image and rollout.

    An image that could not be shown has rows with its `error`, without completion and prediction.
    """
    run = prediction.run
    batches = (
        [
            Shown(partial(open_image, image, images), sample_seed(part, sample_id))
            for sample_id, image in part.samples.select("sample_id", "image").iter_rows()
        ]
        for part in parts
    )
    completions = policy(batches, run.prompt, decoding_of(run, prediction.settings))
    for part, said in zip(parts, completions, strict=True):
        yield part, rows_of(part, said, run.answer_tag, run.best_of)


def sample_seed(part: Part, sample_id: str) -> int:
    """What the samples of an image are drawn by, in whatever part and order it comes."""
    return int(content_hash([], part.seed, part.dataset, sample_id), 16) >> 2  # 62 bits: signed


def rows_of(
    part: Part, said: Sequence[list[str] | BadImage], answer_tag: Which, rollouts: int = 1
) -> pl.DataFrame:
    """SCHEMA, of what was said of each image of a part.

    Args:
        answer_tag: of several tagged predictions in a completion, the one that counts.
    """
    named = part.samples.select("sample_id", "dataset", "class_name").iter_rows()
    rows = [
        (*sample, rollout, *columns, part.seed)
        for sample, texts in zip(named, said, strict=True)
        for rollout, columns in enumerate(
            [(None, None, str(texts))] * rollouts
            if isinstance(texts, BadImage)
            else [(text, extract_prediction(text, answer_tag), None) for text in texts]
        )
    ]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def decoding_of(run: Run, settings: Evaluation) -> SamplingParams:
    """Greedy for one prediction an image; sampled where the best of several counts."""
    return SamplingParams(
        rollouts=run.best_of,
        temperature=settings.temperature if run.best_of > 1 else 0.0,
        top_p=settings.top_p,
        max_new_tokens=settings.max_new_tokens,
        batch_size=settings.batch_size,
    )


def open_policies(
    settings: Evaluation, base: Path, runs: Sequence[Path], work: Path
) -> Iterator[Engine]:
    """The policies of a run's seeds, each loaded into an engine when its turn comes.

    Args:
        base: directory of the base policy.
        runs: directory of each seed, with or without adapters.
        work: where a copy of the base goes, if the engine needs one.

    Raises:
        ConfigError: the engine is not installed.
        DataError: adapters are of another base.
    """
    if settings.engine == "transformers":
        return (partial(generate, *load_policy(base, run)) for run in runs)
    from speciarl.evaluation.vllm_engine import open_vllm

    return open_vllm(base, runs, work, settings.tensor_parallel)
