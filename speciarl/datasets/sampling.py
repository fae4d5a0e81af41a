"""Chooses training sets: seeded, and the same on every machine."""

from collections.abc import Sequence
from hashlib import blake2b

import polars as pl

from speciarl.errors import ConfigError, DataError


def sample_training(
    manifests: dict[str, pl.DataFrame],
    *,
    datasets: Sequence[str],
    splits: Sequence[str] = ("train",),
    size: int | None,
    balanced: bool,
    seed: int,
) -> pl.DataFrame:
    """Draw a training set from the manifests of one or several datasets, in random order.

    Whether a row is drawn depends on the seed and its sample_id alone, not on the order of
    the rows, and a smaller set of the same seed is part of a larger one.

    Args:
        datasets: which to draw from, in equal shares (the first ones get the rest).
        size: rows in all; None takes every row of the splits.
        balanced: give the classes of a dataset equally many rows, as far as they have them.

    Raises:
        ConfigError: an impossible request.
        DataError: a dataset has fewer rows than its share.
    """
    if not datasets or len(set(datasets)) != len(datasets):
        raise ConfigError(f"datasets: expected one or more, each once, found {list(datasets)}")
    if unknown := [dataset for dataset in datasets if dataset not in manifests]:
        raise ConfigError(f"datasets: no manifest of {unknown[0]!r}; expected {sorted(manifests)}")
    if size is not None and size < len(datasets):
        raise ConfigError(f"size: expected at least one row per dataset, found {size}")

    drawn = []
    for position, dataset in enumerate(datasets):
        rows = manifests[dataset].filter(pl.col("split").is_in(splits))
        share = None
        if size is not None:
            share = size // len(datasets) + (position < size % len(datasets))
        if rows.is_empty():
            there = " and ".join(sorted(set(manifests[dataset]["split"])))
            raise DataError(
                f"{dataset}: expected images of {' or '.join(splits)} to train on, found only "
                f"{there}; add some, or take the dataset out of the training set"
            )
        if (share or 0) > len(rows):
            raise DataError(
                f"{dataset}: expected {share} rows of {' and '.join(splits)}, "
                f"found {len(rows)}; ask for fewer or add a dataset"
            )
        drawn.append(_draw(rows, share, balanced, seed))
    return shuffled(pl.concat(drawn), seed, "order")


def _draw(rows: pl.DataFrame, share: int | None, balanced: bool, seed: int) -> pl.DataFrame:
    ranked = shuffled(rows, seed, "draw")
    if balanced:
        # Every class's first row, then every class's second one, and so on.
        turn = pl.int_range(pl.len()).over("class_id")
        ranked = ranked.sort(turn, maintain_order=True)
    return ranked if share is None else ranked.head(share)


def shuffled(rows: pl.DataFrame, seed: int, purpose: str) -> pl.DataFrame:
    """The rows in the order of a hash of their sample_id."""
    ranks = [
        int.from_bytes(blake2b(f"{purpose}/{seed}/{sample}".encode(), digest_size=8).digest())
        for sample in rows["sample_id"]
    ]
    return rows.sort(pl.Series(ranks, dtype=pl.UInt64), "sample_id")
