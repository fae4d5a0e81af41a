"""The report's section on the judges: the verifier of training against the one of evaluation."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from speciarl.answers import normalise
from speciarl.audit import agreement
from speciarl.report.findings import printed
from speciarl.report.markup import Column, paragraph, table
from speciarl.verdicts import LABELS

_HEADING = "<h3>The verifier of training and the judge of evaluation</h3>"
_CAPTION = (
    "Verdicts of the verifier of training (rows) against those of the judge of evaluation "
    "(columns) on the same answers to the same classes."
)
_MOST = 10  # pairs shown
_DIFFERING = "Pairs on which they differ, those that training used most first."
_KEY = ("class", "prediction")
_SIDES = ("training", "evaluation")


def judges_differ(verifier: Mapping[str, object], judge: Mapping[str, object]) -> bool:
    """Whether two sections of the parameters name two judges; how they are reached is no matter."""
    return any(verifier[key] != judge[key] for key in ("backend", "model"))


def judges_section(answers: Sequence[pl.DataFrame], judged: Iterable[pl.DataFrame]) -> str:
    """How far the two agree on the pairs that both have judged.

    Args:
        answers: of training runs, as `audit.ANSWERS`.
        judged: what the `judge` stage wrote (class_name, answer, verdict and others), where it
            asked another verifier than training; nothing where it was the same.

    Returns:
        Nothing without `judged`.
    """
    evaluated = [_pairs_of(rows) for rows in judged]
    if not evaluated:
        return ""
    verdicts = pl.concat(
        _named(side, tables)
        for side, tables in zip(_SIDES, (answers, evaluated), strict=True)
        if tables
    )
    found = agreement(verdicts, *_SIDES, *answers)
    if not found.pairs:
        return f"{_HEADING}\n{paragraph('No answer was judged in training and in evaluation.')}"
    said = (
        f"Of {found.pairs} pairs of class and answer that both have judged, {found.same} have the "
        "same verdict. Cohen's kappa, which is 1 for the same verdicts and 0 for chance: "
        f"{printed(found.kappa)}."
    )
    parts = [_HEADING, paragraph(said)]
    parts.append(_table(_CAPTION, ("training", *LABELS), found.confusion))
    if found.differing.height:
        shown = found.differing.select(*_KEY, "first", "second", "used").head(_MOST)
        parts.append(_table(_DIFFERING, ("class", "answer", *_SIDES, "used"), shown))
    return "\n".join(parts)


def _table(caption: str, headings: Sequence[str], rows: pl.DataFrame) -> str:
    cells = [[str(cell) for cell in row] for row in rows.rows()]
    return table(caption, [Column(heading) for heading in headings], [(None, cells)])


def _pairs_of(judged: pl.DataFrame) -> pl.DataFrame:
    """class, prediction, verdict of answers, which come as they were given."""
    normal = pl.col("answer").map_elements(normalise, return_dtype=pl.String)
    distinct = judged.select("class_name", "answer", "verdict").unique()
    return distinct.select(pl.col("class_name").alias("class"), normal.alias(_KEY[1]), "verdict")


def _named(side: str, tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """verifier, class, prediction, verdict: one row per pair that has a verdict."""
    together = pl.concat(rows.select(*_KEY, "verdict") for rows in tables).drop_nulls("verdict")
    distinct = together.sort(*_KEY, "verdict").unique(_KEY, keep="first", maintain_order=True)
    return distinct.select(pl.lit(side).alias("verifier"), pl.all())
