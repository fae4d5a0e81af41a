"""Images with what each run said of them: mistakes and gains of the method, and some of each kind.

Of a run with several seeds the first speaks, of several samples the best.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from speciarl.datasets.images import BadImage, open_image
from speciarl.evaluation.metrics import FAILED, STEP, UNPARSABLE, best_per_sample
from speciarl.report.tables import Published
from speciarl.verdicts import LABELS

CHANGED = 12  # of a dataset: images on which the method lost most, and on which it gained most
OF_EACH = 2  # of a dataset: images for each run and outcome
MOST = 240  # in all: a megabyte and a half of the page, with eleven runs
SIDE = 96  # pixels of a thumbnail's longer side
LOST, SAME, GAINED = "lost", "same", "gained"

_IMAGE = ("dataset", "sample_id")


class Said(NamedTuple):
    """What a run said of an image."""

    run: str
    prediction: str | None
    outcome: str
    """A verdict, "unparsable" or "failed"."""
    change: str | None
    """LOST, SAME or GAINED against the base policy; None where one of the two has no verdict."""


class Example(NamedTuple):
    """An image of the section of examples."""

    dataset: str
    class_name: str
    thumbnail: str | None
    """A data URI; None where the image cannot be opened."""
    said: Sequence[Said]


def examples(
    judged: pl.LazyFrame, manifests: pl.DataFrame, runs: Sequence[str], published: Published,
    root: Path,
) -> list[Example]:  # fmt: skip
    """What to show: of each dataset the worst mistake and the best gain of the method first.

    Nothing where it, or the base policy, which is the first of its baselines, takes no part.

    Args:
        judged: as `scores.read_judged` gives it.
        manifests: rows of all datasets' manifests.
        runs: in the order of an example's rows.
        published: says which run is the method.
        root: what the manifests' images are relative to.
    """
    method, base = published.method, published.baselines[0]
    if not {method, base} <= set(runs):
        return []
    said = outcomes(judged, runs, base)
    shown = chosen(said, method).join(
        manifests.select(*_IMAGE, "image"), on=_IMAGE, maintain_order="left"
    )
    rows = said.join(shown.select(_IMAGE), on=_IMAGE, how="semi")
    by_image: Mapping = rows.partition_by(_IMAGE, as_dict=True, maintain_order=True)
    return [
        Example(dataset, class_name, thumbnail(image, root), [
            Said(*one) for one in by_image[dataset, sample_id]
            .select("run", "prediction", "outcome", "change").rows()
        ])
        for dataset, sample_id, class_name, image in shown.select(
            *_IMAGE, "class_name", "image"
        ).rows()
    ]  # fmt: skip


def outcomes(judged: pl.LazyFrame, runs: Sequence[str], base: str) -> pl.DataFrame:
    """One row per image and run: dataset, sample_id, run (in the order of `runs`), class_name,
    prediction, outcome, steps (up the ladder from the base policy; null where unknown), change.
    """
    seed = pl.col("seed")
    first = judged.filter(pl.col("run").is_in(list(runs)), seed == seed.min().over("run"))
    key = [*_IMAGE, "run"]
    best = best_per_sample(first, "run", "dataset")
    which = [*key, "verdict", "decided_by"]
    texts = first.select(*which, "rollout", "class_name", "prediction").collect()
    known = (STEP + 1).fill_null(pl.when(pl.col("decided_by") == UNPARSABLE).then(0))
    rows = (
        best.join(texts.cast({"verdict": pl.Enum(LABELS)}), on=which, nulls_equal=True)
        .sort(*_IMAGE, pl.col("run").cast(pl.Enum(runs)), "rollout")
        .unique(key, keep="first", maintain_order=True)
        .with_columns(known=known, outcome=pl.coalesce(pl.col("verdict").cast(pl.String), _why()))
    )
    from_base = rows.filter(run=base).select(*_IMAGE, base="known")
    rows = rows.join(from_base, on=_IMAGE, how="left", maintain_order="left")
    steps = pl.col("steps")
    change = pl.when(steps > 0).then(pl.lit(GAINED)).when(steps < 0).then(pl.lit(LOST))
    return rows.with_columns(steps=pl.col("known") - pl.col("base")).select(
        *key, "class_name", "prediction", "outcome", "steps",
        change=change.when(steps == 0).then(pl.lit(SAME)),
    )  # fmt: skip


def chosen(said: pl.DataFrame, method: str) -> pl.DataFrame:
    """dataset, sample_id, class_name of the images to show, in their order, MOST at most.

    Classes and datasets take turns, so that not all come from the first ones.
    """
    place = pl.int_range(pl.len())
    turn = place.over("dataset", "run", "outcome", "steps", "class_name")
    said = said.sort(turn, *_IMAGE)
    far = said.filter(run=method).sort(pl.col("steps").abs(), descending=True, maintain_order=True)
    changed = far.filter(pl.col("steps") != 0).filter(place.over("dataset", "change") < CHANGED)
    each = said.filter(place.over("dataset", "run", "outcome") < OF_EACH)
    ids = pl.concat([changed.select(_IMAGE), each.select(_IMAGE)]).unique(maintain_order=True)
    ids = ids.filter(place.over("dataset") < MOST // max(1, ids["dataset"].n_unique()))
    rank = {LOST: 0, GAINED: 1}
    return (
        far.join(ids, on=_IMAGE, how="semi", maintain_order="left")
        .sort(
            ~pl.col("change").is_in(rank.keys()).fill_null(False),
            place.over("dataset", "change"),
            pl.col("change").replace_strict(rank, default=2),
            maintain_order=True,
        )
        .select(*_IMAGE, "class_name")
    )


def thumbnail(reference: str, root: Path) -> str | None:
    """A small upright WebP as a data URI; None where the image cannot be opened."""
    try:
        image = open_image(reference, root)
    except BadImage:
        return None
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=75)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _why() -> pl.Expr:
    failed = pl.col("decided_by") == FAILED
    return pl.when(failed).then(pl.lit(FAILED)).otherwise(pl.lit(UNPARSABLE))
