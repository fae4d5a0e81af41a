"""Schemas of the tables that training runs leave, for those who write and who read them."""

import polars as pl

from speciarl.verdicts import COUNTS, LABELS

GROUPS = ("refills", "dropped_groups", "equal_groups", "failed_groups")
"""Of a step: how often groups were drawn again; groups drawn in vain; those of equal reward, and
those without one, that were kept."""

COUNTED = (*COUNTS, "unparsable", "several_tagged", "failed", "hits", "misses", *GROUPS)
"""Counts of all that was drawn in a step of GRPO."""

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
