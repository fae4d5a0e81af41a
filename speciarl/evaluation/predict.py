"""Predictions of a policy to the images of a manifest, one row per rollout."""

import logging
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import polars as pl
import torch
from PIL import Image

from speciarl.answers import Which, extract_prediction
from speciarl.config import Evaluation, Run
from speciarl.datasets.images import BadImage, open_image
from speciarl.errors import DataError
from speciarl.evaluation.transformers_engine import Completions, Engine, SamplingParams, generate
from speciarl.files import (
    atomic_directory,
    content_hash,
    read_done,
    write_digest,
    write_done,
    write_parquet,
)
from speciarl.policy.loading import choose_device, load_policy
from speciarl.progress import track

log = logging.getLogger(__name__)


def predict(
    policy: Engine,
    samples: pl.DataFrame,
    open_image: Callable[[str], Image.Image],
    prompt: str,
    decoding: SamplingParams,
    answer_tag: Which = "first",
    max_failures: float = 0.0,
) -> pl.DataFrame:
    """One row per sample and rollout, also of an image that could not be shown to the policy.

    Args:
        policy: loaded into an engine.
        samples: rows of a manifest.
        open_image: opens the image that a manifest's `image` refers to.
        answer_tag: of several tagged predictions in a completion, the one that counts.
        max_failures: largest share of images that may not be shown.

    Returns:
        sample_id, dataset, class_name, rollout, completion (null where not shown), prediction (null
        there and where unparsable), error (why not shown), sorted by sample_id and rollout.

    Raises:
        DataError: more images than that cannot be opened.
    """
    samples = samples.sort("sample_id")
    images = [lambda r=reference: open_image(r) for reference in samples["image"]]
    completions = policy(images, prompt, decoding)
    rows = [
        (*sample, rollout, *said)
        for sample, texts in track(
            zip(
                samples.select("sample_id", "dataset", "class_name").iter_rows(),
                _few_failures(completions, samples, max_failures),
                strict=True,
            ),
            f"images of {samples['dataset'][0]}",
            samples.height,
        )
        for rollout, said in enumerate(
            [(None, None, str(texts))] * decoding.rollouts
            if isinstance(texts, BadImage)
            else [(text, extract_prediction(text, answer_tag), None) for text in texts]
        )
    ]
    return pl.DataFrame(
        rows,
        orient="row",
        schema={
            "sample_id": pl.String, "dataset": pl.String, "class_name": pl.String,
            "rollout": pl.Int32, "completion": pl.String, "prediction": pl.String,
            "error": pl.String,
        },
    )  # fmt: skip


def _few_failures(
    completions: Completions, samples: pl.DataFrame, max_failures: float
) -> Completions:
    bad: list[BadImage] = []
    for one in completions:
        if isinstance(one, BadImage):
            log.warning("not shown: %s", one)
            bad.append(one)
            if len(bad) > max_failures * samples.height:
                names = "; ".join(map(str, bad[-5:]))
                raise DataError(
                    f"{len(bad)} of {samples.height} images of {samples['dataset'][0]} cannot be "
                    f"shown, more than evaluation.max_failures {max_failures}: {names}"
                )
        yield one


def decoding_of(run: Run, seed: int, settings: Evaluation) -> SamplingParams:
    """Greedy for one prediction an image; sampled where the best of several counts."""
    return SamplingParams(
        rollouts=run.best_of,
        temperature=settings.temperature if run.best_of > 1 else 0.0,
        top_p=settings.top_p,
        max_new_tokens=settings.max_new_tokens,
        batch_size=settings.batch_size,
        seed=seed,
    )


def open_policy(engine: str, base: Path, run: Path, work: Path) -> Engine:
    """The policy of a run, loaded into an engine.

    Args:
        engine: `evaluation.engine`.
        base: directory of the base policy.
        run: directory of the run, with or without adapters.
        work: where a copy with the adapters merged in goes, if the engine needs one.

    Raises:
        ConfigError: the engine is not installed.
    """
    if engine == "transformers":
        return partial(generate, *load_policy(base, run))
    from speciarl.evaluation.vllm_engine import open_vllm

    return open_vllm(base, run, work)


def predict_datasets(
    base: Path,
    trained: Path,
    manifests: Sequence[Path],
    into: Path,
    *,
    run: Run,
    settings: Evaluation,
    images: Path,
    work: Path,
    threads: int,
) -> None:
    """Answer the test split of every manifest into `into`/SEED/DATASET.parquet.

    A policy is loaded once for all datasets. A finished dataset is kept under `work`, named by all
    it depends on, and taken from there when an interrupted start is repeated.

    Args:
        trained: folder of what each of the run's seeds has made of the base (SEED).
    """
    choose_device(base)
    torch.set_num_threads(threads)
    row = run.model_dump(exclude={"seeds"})
    finished = {}
    for seed in run.seeds:
        adapter = trained / str(seed)
        settled = content_hash(
            [base, adapter], row, seed, settings.model_dump(exclude={"max_failures"})
        )
        policy = open_policy(settings.engine, base, adapter, work / f"model-{settled}")
        for path in manifests:
            kept = work / f"{path.stem}-{settled}-{content_hash([path])}.parquet"
            finished[f"{seed}/{path.name}"] = kept
            if read_done(kept.with_suffix(".json")) is not None:
                continue
            samples = pl.read_parquet(path).filter(split="test")
            predictions = predict(
                policy, samples, lambda reference: open_image(reference, images),
                run.prompt, decoding_of(run, seed, settings), run.answer_tag, settings.max_failures,
            )  # fmt: skip
            write_parquet(predictions.with_columns(seed=pl.lit(seed, pl.Int64)), kept)
            write_done(kept.with_suffix(".json"), predictions.height, [kept])
    with atomic_directory(into) as folder:
        for name, kept in finished.items():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(kept, folder / name)
        write_digest(folder)
    shutil.rmtree(work)
