"""The report's section on reward hacking: what policies answered in training."""

from collections.abc import Mapping, Sequence

import polars as pl

from speciarl.audit import hacking_signs
from speciarl.report.markup import Column, paragraph, table

_COLUMNS = ("run", "steps", "several", "to the judge", "commonest", "share", "classes", "length")
_CAPTION = (
    "Answers in the first and the last tenth of training. A policy that has learned to please the "
    "judge offers several labels at once (several), speaks to the judge, or gives one answer for "
    "everything: the commonest answer, its share and for how many classes it was given. Length: "
    "mean number of characters."
)


def signs_section(answers: Mapping[str, pl.DataFrame], runs: Sequence[str]) -> str:
    """A table of the runs that kept answers (`audit.ANSWERS`), two rows each."""
    rows = []
    for run in runs:
        signs = hacking_signs(answers[run]) if run in answers else pl.DataFrame()
        if signs.height:
            rows += [_row(run, signs.row(0, named=True))]
        if signs.height > 1:
            rows += [_row(run, signs.row(-1, named=True))]
    if not rows:
        return paragraph("No run was trained by a reward.")
    return table(_CAPTION, [Column(name) for name in _COLUMNS], [(None, rows)])


def _row(run: str, signs: Mapping) -> list[str]:
    return [
        run,
        f"{signs['first_step']}-{signs['last_step']}",
        f"{signs['several']:.1%}",
        f"{signs['addressing']:.1%}",
        signs["commonest"],
        f"{signs['commonest_share']:.1%}",
        str(signs["commonest_classes"]),
        f"{signs['mean_length']:.1f}",
    ]
