"""Judging from a full store and scoring, beside a plain join and a bare aggregate of the same rows.

    python bench/scores.py                  # 3 million rows, a million stored verdicts; a minute
    python bench/scores.py --rows 300000 --verdicts 100000

Prints CPU seconds, reading and writing included, and their ratios, that of everything which the
score stage does last; the bootstrap stands apart.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import polars as pl

from speciarl.cache import VerdictCache
from speciarl.evaluation.best_of import curves
from speciarl.evaluation.intervals import Replicates
from speciarl.evaluation.judge import judge_folder
from speciarl.evaluation.measures import measure
from speciarl.evaluation.scores import (
    _of_datasets,
    areas_of,
    best_of_all,
    differences,
    read_judged,
    score,
)
from speciarl.evaluation.stops import SAID, placed, stops
from speciarl.taxonomy import Taxonomy
from speciarl.taxonomy.facts import BUILT_IN
from speciarl.verdicts import SPECIFICITY_WEIGHTS, Judgment, Pair, Verdict
from speciarl.verifiers.cached import CachedVerifier

IDENTITY = {"verifier": "bench"}
GROUPS = {
    "fine": ["cub", "flowers", "food", "pets"],
    "very fine": ["aircraft", "cars"],
}
DATASETS = [name for names in GROUPS.values() for name in names]
JUDGMENTS = [Judgment(verdict, "taxonomy") for verdict in Verdict]
TRUE_OF_A_CLASS = 28  # terms, as in the benchmarks
T = TypeVar("T")

JOIN = """
COPY (SELECT p.* EXCLUDE completion, v.verdict, v.decided_by, v.verifier
      FROM read_parquet('{predictions}/*/*.parquet') p
      LEFT JOIN store.verdicts v ON v.class = p.class_name AND v.prediction = p.prediction)
TO '{into}' (COMPRESSION zstd)
"""


def timed(what: str, function: Callable[[], T], bare: float | None = None) -> tuple[T, float]:
    started = time.process_time()
    found = function()
    seconds = time.process_time() - started
    ratio = f"   x {seconds / bare:.1f}" if bare else ""
    print(f"{what:56}{seconds:7.2f} CPU s{ratio}")
    return found, seconds


def said(dice: np.random.Generator, images: int, rollouts: int, classes: int, predictions: int):
    """Rows of one dataset; a policy says a few things often and many things rarely."""
    number = np.repeat(np.arange(images), rollouts)
    chosen = dice.zipf(1.4, len(number)) % predictions
    return pl.DataFrame(
        {"number": number, "class": number % classes, "chosen": chosen,
         "rollout": np.tile(np.arange(rollouts), images)}
    )  # fmt: skip


def class_name(dataset: str) -> pl.Expr:
    return pl.format(dataset + " class number {}", "class")


def prediction() -> pl.Expr:
    return pl.format("a prediction like many others {}", "chosen")


def fill(store: Path, classes: int, predictions: int) -> None:
    cache = VerdictCache(store, IDENTITY, "bench")
    for dataset in DATASETS:
        pairs = pl.DataFrame({"class": range(classes)}).join(
            pl.DataFrame({"chosen": range(predictions)}), how="cross"
        )
        texts = pairs.select(class_name(dataset).alias("class"), prediction().alias("chosen"))
        for part in texts.iter_slices(100_000):
            cache.put({Pair(*row): JUDGMENTS[i % 6] for i, row in enumerate(part.iter_rows())})


def write_predictions(folder: Path, rows: int, rollouts: int, classes: int, predictions: int):
    dice = np.random.default_rng(0)
    for dataset in DATASETS:
        images = rows // len(DATASETS) // rollouts
        table = said(dice, images, rollouts, classes, predictions).select(
            pl.format(dataset + "/{}", "number").alias("sample_id"),
            pl.lit(dataset).alias("dataset"),
            class_name(dataset).alias("class_name"),
            pl.lit(42).alias("seed"),
            "rollout",
            pl.format("<think>fur and ears</think><answer>{}</answer>", prediction())
            .alias("completion"),
            prediction().alias("prediction"),
        )  # fmt: skip
        path = folder / f"run/42/{dataset}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(path, compression="zstd")


def judging(work: Path, rows: int, verdicts: int) -> None:
    store, folder, classes = work / "cache.duckdb", work / "predictions", 100
    predictions = verdicts // len(DATASETS) // classes
    fill(store, classes, predictions)
    write_predictions(folder, rows, 64, classes, predictions)
    with duckdb.connect(config={"threads": 2}) as db:
        db.execute(f"ATTACH '{store}' AS store (READ_ONLY)")
        join = JOIN.format(predictions=folder / "run", into=work / "joined.parquet")
        distinct = f"SELECT count(DISTINCT (class_name, prediction)) FROM '{folder}/*/*/*.parquet'"
        print(
            f"{rows} rows, {db.sql(distinct).fetchall()[0][0]} distinct pairs, {verdicts} verdicts"
        )
        _, bare = timed("join by DuckDB", lambda: db.execute(join))
    source, _ = timed(
        "store opened", lambda: CachedVerifier(NoVerifier(), VerdictCache(store, IDENTITY, "r"))
    )
    judged, sources = work / "verdicts/run", dict.fromkeys(DATASETS, source)
    timed("judged", lambda: judge_folder(folder / "run", judged, sources, 0.0), bare)


class NoVerifier:
    """A verifier that must not be asked."""

    identity = IDENTITY

    def judge(self, pairs):
        raise AssertionError("every pair is in the store")


def write_judged(folder: Path, rows: int, runs: int, rollouts: int) -> list[str]:
    """Judged rows of some runs, as the judge stage leaves them."""
    dice = np.random.default_rng(1)
    ladder, names = pl.Enum([v.value for v in Verdict]), [f"run{i:03}" for i in range(runs)]
    images = rows // runs // len(DATASETS) // rollouts
    for run in names:
        for dataset in DATASETS:
            table = said(dice, images, rollouts, 100, 2000)
            true = (table["chosen"] < TRUE_OF_A_CLASS).to_numpy()
            verdict = pl.Series(np.where(true, dice.integers(2, 6, len(true)), true)).cast(pl.Int32)
            path = folder / run / f"42/{dataset}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            table.select(
                pl.format(dataset + "/{}", "number").alias("sample_id"),
                pl.lit(dataset).alias("dataset"),
                class_name(dataset).alias("class_name"),
                pl.lit(42, pl.Int64).alias("seed"),
                "rollout",
                prediction().alias("prediction"),
                prediction().alias("normalized"),
                pl.Series("verdict", [v.value for v in Verdict])
                .cast(ladder).gather(verdict).alias("verdict"),
                pl.lit("taxonomy").alias("decided_by"),
                pl.lit("0123456789abcdef").alias("verifier"),
                pl.lit(False).alias("several_tagged"),
            ).write_parquet(path, compression="zstd")  # fmt: skip
    return names


def taxonomy_of(classes: int) -> Taxonomy:
    """The taxonomy of the classes, of which nothing but the names is known."""
    taxonomy = Taxonomy.load(BUILT_IN, [])
    for name in DATASETS:
        taxonomy = taxonomy.with_plain(name, [f"{name} class number {i}" for i in range(classes)])
    return taxonomy


def alike(pairs: Iterable[Pair]) -> dict[Pair, tuple[float, float]]:
    """The place of an embedding model, which takes no time here."""
    return dict.fromkeys(pairs, (0.5, 0.75))


def included(pairs: Iterable[Pair]) -> dict[Pair, bool]:
    """Likewise of a language model."""
    return {pair: len(pair.prediction) % 2 == 0 for pair in pairs}


def scoring(work: Path, rows: int, runs: int, rollouts: int) -> None:
    folder = work / f"judged{runs}"
    names, taxonomy = write_judged(folder, rows, runs, rollouts), taxonomy_of(100)
    print(f"\n{rows} rows of {runs} runs, {rollouts} rollouts of an image")
    _, bare = timed("bare aggregate by polars", lambda: aggregate(folder))
    areas, started = areas_of(GROUPS, GROUPS["very fine"]), time.process_time()

    def judged_and_best() -> pl.DataFrame:
        return best_of_all(read_judged(folder.iterdir()), names, DATASETS, SAID)

    best, _ = timed("read, best of each image, checked", judged_and_best, bare)
    replicates, _ = timed(
        "bootstrap: replicates", lambda: Replicates(best, DATASETS, SPECIFICITY_WEIGHTS)
    )
    timed("counts and metrics of each seed", lambda: _of_datasets(best, SPECIFICITY_WEIGHTS), bare)
    timed("bootstrap: scores with intervals",
          lambda: score(best, replicates, areas, SPECIFICITY_WEIGHTS))  # fmt: skip
    timed(f"bootstrap: {runs * (runs - 1) // 2} paired differences",
          lambda: differences(names, replicates, areas))  # fmt: skip
    placed_rows, _ = timed("places in the tree", lambda: placed(best, taxonomy), bare)
    timed("where predictions stop", lambda: stops(placed_rows, taxonomy), bare)
    timed("bootstrap: measures", lambda: measure(placed_rows, areas, names[0], alike, included))
    timed(
        "bootstrap: best of k",
        lambda: curves(read_judged(folder.iterdir()), areas, SPECIFICITY_WEIGHTS),
    )
    print(f"{'all that the stage does':56}{(all_ := time.process_time() - started):7.2f} CPU s"
          f"   x {all_ / bare:.1f}")  # fmt: skip


def aggregate(folder: Path) -> pl.DataFrame:
    """Of each run and dataset the images by their best verdict, and what the scores count."""
    return (
        pl.scan_parquet(f"{folder}/*/*/*.parquet", include_file_paths="file")
        .group_by("file", "sample_id")
        .agg(pl.col("verdict").max(), pl.col("decided_by").first(), pl.col("several_tagged").sum())
        .group_by("file", "verdict", "decided_by")
        .agg(pl.len(), pl.col("several_tagged").sum())
        .collect()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--verdicts", type=int, default=1_200_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        judging(work, asked.rows, asked.verdicts)
        scoring(work, asked.rows, 5, 64)
        scoring(work, asked.rows, 200, 1)


if __name__ == "__main__":
    main()
