"""The report as one HTML file that needs nothing else: no script, font, image or link.

Here the values are gathered; what is said about them is in `templates/`, a file per section.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import yaml
from markupsafe import Markup

from speciarl.report import charts
from speciarl.report.agreement import judges_compared, signs_by_run
from speciarl.report.findings import (
    Seen,
    group_findings,
    groups_explained,
    headline,
    miniature_note,
    printed,
    unseen_groups,
)
from speciarl.report.rendering import render
from speciarl.report.tables import (
    FIGURES,
    OUTCOMES,
    Published,
    count_table,
    dataset_table,
    main_table,
    names_of,
    score_of,
)
from speciarl.verdicts import LABELS


@dataclass(frozen=True)
class Evidence:
    """What the page shows: `training` and `predictions` by run, as far as there are any.

    `judged` are the files of the `judge` stage, where it asked another verifier than training.
    """

    scores: pl.DataFrame
    training: Mapping[str, pl.DataFrame]
    predictions: Mapping[str, pl.DataFrame]
    judged: Sequence[pl.DataFrame]
    runs: Sequence[str]
    weights: Mapping[str, float]
    published: Published
    seen: Seen


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
    main = main_table(e.scores, e.runs, e.published)
    compared = (e.scores, e.runs, e.published, e.seen)
    values = {
        "title": title,
        "miniature": miniature_note(miniature) if miniature else "",
        "published": e.published,
        "headline": headline(*compared),
        "findings": group_findings(*compared),
        "sizes": _sizes(e),
        "groups": [_group(name, main, e.published) for name in names_of(e.scores, "group")],
        "main": main.rows(named=True),
        "charts": _charts(e),
        "losses": _losses(e),
        "lookups": _lookups(e),
        "reward_hacking": signs_by_run(e.predictions, e.runs),
        "agreement": judges_compared(list(e.predictions.values()), e.judged),
        "labels": LABELS,
        "datasets": {
            name: dataset_table(e.scores, e.runs).filter(dataset=name).rows(named=True)
            for name in names_of(e.scores, "dataset")
        },
        "counts": _counts(e),
        "outcomes": OUTCOMES,
        "weights": e.weights,
        "groups_explained": groups_explained(e.scores, e.seen),
        "provenance": {name: _plain(value) for name, value in provenance.items()},
    }
    return render("page.html.j2", values)


def _sizes(e: Evidence) -> list[int]:
    """Images on which the method was scored, by unseen group."""
    unseen = unseen_groups(e.scores, e.runs, e.published, e.seen)
    rows = [score_of(e.scores, e.published.method, "group", group) for group in unseen]
    return [row["samples"] for row in rows if row]


def _group(name: str, main: pl.DataFrame, published: Published) -> dict[str, object]:
    """A group's name, the figures of it that are published, and its highest HM as printed."""
    rivals = main.filter(pl.col("run") != published.bound)
    return {
        "name": name,
        "published": [f for f in FIGURES if published.states(name, f)],
        "best": printed(max(rivals[f"{name} hm"].drop_nulls(), default=None)),
    }


def _charts(e: Evidence) -> dict[str, Markup | None]:
    return {
        "outcomes": charts.outcome_bars(
            e.scores, e.runs,
            "Stacked bars: share of each verdict by group and run; the counts are tabled below.",
        ),
        "trade_off": charts.trade_off(
            e.scores, e.runs, e.published,
            "Scatter plot: specificity and correctness of every run by group, as tabled above.",
        ),
        "rewards": charts.reward_curves(
            e.training, e.runs, "Line chart: mean reward per step of every run trained by a reward."
        ),
        "verdicts": charts.verdict_areas(
            e.training, e.runs,
            "Area charts: share of each verdict among the rollouts over the steps.",
        ),
        "lookups": charts.cache_lines(
            e.training, e.runs,
            "Line charts: lookups per step found in the verdict store (hits), and not (misses).",
        ),
    }  # fmt: skip


def _losses(e: Evidence) -> dict[str, list[float]]:
    """The losses, by step, of each run that no reward trained; none where it was not trained."""
    rewarded = charts.with_rewards(e.training, e.runs)
    none = pl.DataFrame({"step": [], "loss": []})
    return {
        run: e.training.get(run, none).drop_nulls("loss").sort("step")["loss"].to_list()
        for run in e.runs
        if run not in rewarded
    }


def _lookups(e: Evidence) -> list[dict[str, object]]:
    """Per run with rewards its steps, and its lookups over the whole training."""
    rows: list[dict[str, object]] = []
    for run, metrics in charts.with_rewards(e.training, e.runs).items():
        hits, misses = (int(metrics[c].sum()) for c in ("hits", "misses"))
        share = hits / (hits + misses) if hits + misses else None
        rows.append(
            {"run": run, "steps": metrics.height, "hits": hits, "misses": misses, "share": share}
        )
    return rows


def _counts(e: Evidence) -> list[tuple[str, list[dict]]]:
    """The rows of the counts by the name of their group or dataset, groups first."""
    counts = count_table(e.scores, e.runs)
    parts = counts.partition_by("level", "name", as_dict=True, maintain_order=True)
    return [(name, rows.rows(named=True)) for (_, name), rows in parts.items()]


def _plain(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip()
