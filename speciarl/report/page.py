"""The report as one HTML file that needs nothing else: no script, font, image or link.

Here the values are gathered; what is said about them is in `templates/`, a file per section.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import yaml
from markupsafe import Markup

from speciarl.evaluation.intervals import REPLICATES
from speciarl.report import charts, training_charts
from speciarl.report.agreement import judges_compared, signs_by_run
from speciarl.report.findings import (
    Seen,
    difference_of,
    group_findings,
    groups_explained,
    headline,
    miniature_note,
    printed,
    unseen_groups,
)
from speciarl.report.rendering import render
from speciarl.report.rollouts import rollouts_chart, rollouts_findings
from speciarl.report.tables import (
    AREAS,
    METRICS,
    OUTCOMES,
    Published,
    count_table,
    dataset_table,
    main_table,
    names_of,
    over_seeds,
    score_of,
)
from speciarl.verdicts import LABELS


@dataclass(frozen=True)
class Evidence:
    """What the page shows: `training` and `predictions` by run, as far as there are any.

    `scores` and `differences` are as the score stage writes them; `judged` are the files of the
    `judge` stage, where it asked another verifier than training.
    """

    scores: pl.DataFrame
    differences: pl.DataFrame
    training: Mapping[str, pl.DataFrame]
    predictions: Mapping[str, pl.DataFrame]
    judged: Sequence[pl.DataFrame]
    runs: Sequence[str]
    weights: Mapping[str, float]
    published: Published
    seen: Seen
    rollouts: pl.DataFrame | None = None
    ablations: pl.DataFrame | None = None


def render_page(
    title: str, evidence: Evidence, provenance: Mapping[str, object], *, miniature: Sequence[str]
) -> str:
    """The whole page; the same arguments give the same bytes.

    Args:
        title: of the page.
        evidence: scores, training metrics, runs in their order, specificity weights by verdict,
            and the published figures.
        provenance: plain values by the name of their block at the end of the page.
        miniature: what makes the figures no match for the published ones: "images", "policy".
    """
    e = evidence
    scores = over_seeds(e.scores)
    main = main_table(scores, e.runs, e.published)
    compared = (scores, e.differences, e.runs, e.published)
    unseen = unseen_groups(scores, e.runs, e.published, e.seen)
    values = {
        "title": title,
        "miniature": miniature_note(miniature) if miniature else "",
        "published": e.published,
        "headline": headline(*compared),
        "findings": group_findings(*compared, unseen),
        "sizes": _sizes(scores, unseen),
        "groups": [_group(name, main, e.published) for name in names_of(scores, *AREAS)],
        "main": main.rows(named=True),
        "harmonic_means": {
            name: _harmonic_means(e, scores, name) for name in names_of(scores, *AREAS)
        },
        "charts": _charts(e, scores),
        "rollouts": e.rollouts,
        "rollouts_findings": [] if e.rollouts is None else rollouts_findings(e.rollouts),
        "ablations": e.ablations,
        "losses": _losses(e),
        "lookups": _lookups(e),
        "reward_hacking": signs_by_run(e.predictions, e.runs),
        "agreement": judges_compared(list(e.predictions.values()), e.judged),
        "labels": LABELS,
        "datasets": {
            name: dataset_table(scores, e.runs).filter(dataset=name).rows(named=True)
            for name in names_of(scores, "dataset")
        },
        "counts": _counts(scores, e.runs),
        "outcomes": OUTCOMES,
        "weights": e.weights,
        "replicates": REPLICATES,
        "groups_explained": groups_explained(scores, e.seen),
        "provenance": {name: _plain(value) for name, value in provenance.items()},
    }
    return render("page.html.j2", values)


def _sizes(scores: pl.DataFrame, groups: Sequence[str]) -> list[int]:
    """Images of each group, on which every seed of every run was scored."""
    rows = scores.filter(level="group").unique("name", maintain_order=True)
    return (
        rows.filter(pl.col("name").is_in(list(groups)))
        .select(pl.col("samples") // pl.col("seeds"))["samples"]
        .to_list()
    )


def _group(name: str, main: pl.DataFrame, published: Published) -> dict[str, object]:
    """A group's name, those of its metrics that are published, and its highest HM as printed."""
    rivals = main.filter(pl.col("run") != published.bound)
    return {
        "name": name,
        "published": [f for f in METRICS if published.states(name, f)],
        "best": printed(max(rivals[f"{name} hm"].drop_nulls(), default=None)),
    }


def _harmonic_means(e: Evidence, scores: pl.DataFrame, name: str) -> list[dict[str, object]]:
    """The scores of all runs on a group, with what the method's HM differs by from theirs."""
    rows = [score_of(scores, run, *AREAS, name=name) for run in e.runs]
    return [
        {**row, "difference": difference_of(e.differences, e.published.method, row["run"], name)}
        for row in rows
        if row
    ]


def _charts(e: Evidence, scores: pl.DataFrame) -> dict[str, Markup | None]:
    return {
        "harmonic_means": charts.harmonic_means(
            scores, e.scores.drop_nulls("seed"), e.runs,
            "Dot plot: HM of every run by group with its 95 % interval, as tabled below.",
        ),
        "rollouts": None if e.rollouts is None else rollouts_chart(
            e.rollouts,
            "Line charts: HM in and out of domain, and groups won by luck, as tabled below.",
        ),
        "outcomes": charts.outcome_bars(
            scores, e.runs,
            "Stacked bars: share of each verdict by group and run; the counts are tabled below.",
        ),
        "trade_off": charts.trade_off(
            scores, e.runs, e.published,
            "Scatter plot: specificity and correctness of every run by group, as tabled above.",
        ),
        "rewards": training_charts.reward_curves(
            e.training, e.runs, "Line chart: mean reward per step of every run trained by a reward."
        ),
        "verdicts": training_charts.verdict_areas(
            e.training, e.runs,
            "Area charts: share of each verdict among the rollouts over the steps.",
        ),
        "lookups": training_charts.cache_lines(
            e.training, e.runs,
            "Line charts: lookups per step found in the verdict store (hits), and not (misses).",
        ),
    }  # fmt: skip


def _losses(e: Evidence) -> dict[str, list[float]]:
    """Mean losses over seeds, by step, of each run that no reward trained; none if untrained."""
    rewarded = training_charts.with_rewards(e.training, e.runs)
    none = pl.DataFrame({"step": [], "loss": []})
    return {
        run: e.training.get(run, none).group_by("step").agg(pl.col("loss").mean()).sort("step")
        .drop_nulls("loss")["loss"].to_list()
        for run in e.runs
        if run not in rewarded
    }  # fmt: skip


def _lookups(e: Evidence) -> list[dict[str, object]]:
    """Per run with rewards its seeds and steps, and the lookups of all seeds over all steps."""
    rows: list[dict[str, object]] = []
    for run, metrics in training_charts.with_rewards(e.training, e.runs).items():
        hits, misses = (int(metrics[c].sum()) for c in ("hits", "misses"))
        share = hits / (hits + misses) if hits + misses else None
        seeds, steps = (metrics[c].n_unique() for c in ("seed", "step"))
        rows.append({"run": run, "seeds": seeds, "steps": steps, "hits": hits, "misses": misses,
                     "share": share})  # fmt: skip
    return rows


def _counts(scores: pl.DataFrame, runs: Sequence[str]) -> list[tuple[str, list[dict]]]:
    """The rows of the counts by the name of their group or dataset, groups first."""
    counts = count_table(scores, runs)
    parts = counts.partition_by("level", "name", as_dict=True, maintain_order=True)
    return [(name, rows.rows(named=True)) for (_, name), rows in parts.items()]


def _plain(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip()
