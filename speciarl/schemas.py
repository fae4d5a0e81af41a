"""Schemas of the tables that training runs leave, for those who write and who read them."""

import polars as pl

from speciarl.verdicts import LABELS

VERDICTS = pl.Schema(
    [
        ("class", pl.String()),
        ("prediction", pl.String()),
        ("verdict", pl.Enum(LABELS)),
        ("decided_by", pl.String()),
    ]
)
"""What snapshots and runs keep of verdicts."""

PREDICTIONS = pl.Schema(
    [
        ("step", pl.Int64()),
        ("class", pl.String()),
        ("prediction", pl.String()),
        ("verdict", pl.Enum(LABELS)),
        ("count", pl.Int64()),
    ]
)
"""`count` rollouts of a step gave this prediction for this class; the verdict is null where the
verifier failed."""
