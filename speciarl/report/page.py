"""The report as one HTML file that needs nothing else: its images and scripts are inside.

Here the values are gathered; what is said about them is in `templates/`, a file per section.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import yaml
from markupsafe import Markup

from speciarl.evaluation.intervals import REPLICATES
from speciarl.report import charts, findings, tables, training_charts
from speciarl.report.agreement import judges_compared, signs_by_run
from speciarl.report.economy import Economy
from speciarl.report.examples import GAINED, LOST, Example
from speciarl.report.findings import Seen
from speciarl.report.rendering import render
from speciarl.report.rollouts import rollouts_chart, rollouts_findings
from speciarl.report.tables import Published
from speciarl.report.tree import trees
from speciarl.verdicts import LABELS

WEIGHTS_SHOWN = ["0.0", "0.5", "1.0"]  # of Specificity as a curve


@dataclass(frozen=True)
class Evidence:
    """What the page shows."""

    scores: pl.DataFrame
    """As the score stage writes them."""
    differences: pl.DataFrame
    """Likewise."""
    training: Mapping[str, pl.DataFrame]
    """Metrics by run; runs without training may be empty or absent."""
    predictions: Mapping[str, pl.DataFrame]
    """What each run answered in training, as `schemas.PREDICTIONS`."""
    runs: Sequence[str]
    """Rows of the tables, in their order."""
    weights: Mapping[str, float]
    """Specificity by verdict, named as the columns of counts."""
    published: Published
    """The figures to stand beside."""
    seen: Seen
    miniature: Sequence[str] = ()
    """What comes from the miniature, "images" or "policy": the page says so."""
    judged: Sequence[pl.DataFrame] = ()
    """The files of the `judge` stage, where it asked another verifier than training."""
    best_of: pl.DataFrame | None = None
    """As the score stage writes it (`evaluation.best_of`)."""
    measures: pl.DataFrame | None = None
    """Likewise (`evaluation.measures`)."""
    stops: pl.DataFrame | None = None
    """Likewise (`evaluation.stops`)."""
    rollouts: pl.DataFrame | None = None
    """As `rollouts.COLUMNS`, for a section of its own."""
    ablations: pl.DataFrame | None = None
    """As `studies.ablations` gives them, likewise."""
    examples: Sequence[Example] = ()
    """Images with what each run said of them."""
    economy: Sequence[Economy] = ()
    """What the verdict store saved, in training and in evaluation."""


def render_page(evidence: Evidence, provenance: Mapping[str, object]) -> str:
    """The whole page, `provenance` in blocks by name at its end; equal input, equal bytes."""
    e = evidence
    scores = tables.over_seeds(e.scores)
    main = tables.main_table(scores, e.runs, e.published)
    areas = tables.names_of(scores, *tables.AREAS)
    of_areas = pl.col("level").is_in(tables.AREAS)
    compared = (scores, e.differences, e.runs, e.published)
    rewarded = training_charts.with_rewards(e.training, e.runs)
    unseen = findings.unseen_groups(scores, e.runs, e.published, e.seen)
    values = {
        "title": "SpeciaRL: results",
        "miniature": findings.miniature_note(e.miniature) if e.miniature else "",
        "published": e.published,
        "opening": findings.opening(*compared),
        "findings": findings.group_findings(*compared, unseen),
        "sizes": _sizes(scores, unseen),
        "groups": [_group(name, main, e.published) for name in areas],
        "main": main.rows(named=True),
        "differences": {name: _paired(e, name) for name in areas},
        "left_out": scores.filter(of_areas, pl.col("failed") > 0).rows(named=True),
        "runs": e.runs,
        "measures": None if e.measures is None else _measures(e.measures, e.runs),
        "trees": [] if e.stops is None else trees(e.stops, _before_and_after(e)[:2]).items(),
        "before_and_after": _before_and_after(e)[:2],
        "examples": e.examples,
        "choices": _choices(e.examples),
        "base": e.published.baselines[0],
        "colors": charts.OUTCOME_COLORS,
        "economy": e.economy,
        "libraries": charts.libraries(),
        "charts": _charts(e, scores, rewarded),
        "best_of": None if e.best_of is None else tables.best_of_table(e.best_of, e.runs),
        "rollouts": e.rollouts,
        "rollouts_findings": [] if e.rollouts is None else rollouts_findings(e.rollouts),
        "ablations": e.ablations,
        "losses": {
            run: losses
            for run in e.runs
            if run not in rewarded and run in e.training and (losses := _losses(e.training[run]))
        },
        "lookups": [{"run": run, **_lookups(rows)} for run, rows in rewarded.items()],
        "reward_hacking": signs_by_run(e.predictions, e.runs),
        "agreement": judges_compared(list(e.predictions.values()), e.judged),
        "labels": LABELS,
        "datasets": {
            name: tables.dataset_table(scores, e.runs).filter(dataset=name).rows(named=True)
            for name in tables.names_of(scores, "dataset")
        },
        "counts": _counts(scores, e.runs),
        "outcomes": tables.OUTCOMES,
        "weights": e.weights,
        "replicates": REPLICATES,
        "groups_explained": findings.groups_explained(scores, e.seen),
        "provenance": {name: _plain(value) for name, value in provenance.items()},
    }
    return render("page.html.j2", values)


def _sizes(scores: pl.DataFrame, groups: Sequence[str]) -> list[int]:
    """Images of each group, on which every seed of every run was scored."""
    rows = scores.filter(pl.col("name").is_in(list(groups)), level="group")
    sizes = rows.unique("name", maintain_order=True).select(pl.col("samples") // pl.col("seeds"))
    return sizes["samples"].to_list()


def _group(name: str, main: pl.DataFrame, published: Published) -> dict[str, object]:
    """A group's name, those of its metrics that are published, and its highest HM as printed."""
    rivals = main.filter(pl.col("run") != published.bound)
    return {
        "name": name,
        "published": [f for f in tables.METRICS if published.states(name, f)],
        "best": findings.printed(max(rivals[f"{name} hm"].drop_nulls(), default=None)),
    }


def _measures(measures: pl.DataFrame, runs: Sequence[str]) -> dict[str, object]:
    """By area the values of the runs by measure and place; what some lack; why some are absent."""
    table = tables.measure_table(measures, runs)
    shown = table.filter((pl.col("measure") != "specificity") | pl.col("at").is_in(WEIGHTS_SHOWN))
    by_area: dict[str, list] = {}
    for name, measure, at, *values in shown.iter_rows():
        by_area.setdefault(name, []).append((measure, at, values))
    lacking = measures.filter(pl.col("level").is_in(tables.AREAS), pl.col("dropped") > 0)
    return {
        "areas": by_area,
        "dropped": lacking.unique(
            ["measure", "run", "name"], keep="first", maintain_order=True
        ).rows(named=True),
        "absent": dict(measures.drop_nulls("absent").select("measure", "absent").rows()),
    }


def _paired(e: Evidence, name: str) -> dict[str, list[findings.Difference]]:
    """For each run what its HM on an area exceeds that of the runs before it by."""
    return {
        run: [findings.difference_of(e.differences, run, other, name) for other in e.runs[:place]]
        for place, run in enumerate(e.runs)
    }


def _choices(shown: Sequence[Example]) -> dict[str, list[str]]:
    """What examples can be chosen by: the names and the values that occur."""
    said = [one for example in shown for one in example.said]
    outcomes = {one.outcome for one in said}
    return {
        "dataset": sorted({example.dataset for example in shown}),
        "run": list(dict.fromkeys(one.run for one in said)),
        "verdict": [outcome for outcome in charts.OUTCOME_COLORS if outcome in outcomes],
        "change": [GAINED, LOST],
    }


def _charts(
    e: Evidence, scores: pl.DataFrame, rewarded: Mapping[str, pl.DataFrame]
) -> dict[str, Markup | None]:
    return {
        "harmonic_means": charts.harmonic_means(scores, e.scores.drop_nulls("seed"), e.runs),
        "rollouts": None if e.rollouts is None else rollouts_chart(
            e.rollouts,
            "Line charts: HM in and out of domain, and groups won by luck, as tabled below.",
        ),
        "best_of": None if e.best_of is None else charts.best_of_lines(e.best_of, e.runs),
        "outcomes": charts.outcome_bars(scores, e.runs),
        "tree": charts.outcome_bars(scores, _before_and_after(e), "dataset"),
        "trade_off": charts.trade_off(scores, e.runs, e.published),
        "rewards": training_charts.reward_curves(rewarded, e.runs),
        "verdicts": training_charts.verdict_areas(rewarded),
        "moves": training_charts.policy_lines(rewarded, e.runs),
        "lookups": training_charts.cache_lines(rewarded, e.runs),
    }  # fmt: skip


def _before_and_after(e: Evidence) -> list[str]:
    """The policy before training, the method, and the best among samples, as far as they run."""
    p = e.published
    return [run for run in (p.baselines[0], p.method, p.bound) if run in e.runs]


def _losses(rows: pl.DataFrame) -> list[float]:
    """Mean losses over seeds, by step."""
    means = rows.group_by("step").agg(pl.col("loss").mean()).sort("step")
    return means["loss"].drop_nulls().to_list()


def _lookups(metrics: pl.DataFrame) -> dict[str, object]:
    """Seeds and steps of a run, and the lookups of all seeds over all steps."""
    hits, misses = (int(metrics[c].sum()) for c in ("hits", "misses"))
    seeds, steps = (metrics[c].n_unique() for c in ("seed", "step"))
    share = hits / (hits + misses) if hits + misses else None
    return {"seeds": seeds, "steps": steps, "hits": hits, "misses": misses, "share": share}


def _counts(scores: pl.DataFrame, runs: Sequence[str]) -> list[tuple[str, list[dict]]]:
    """The rows of the counts by the name of their group or dataset, groups first."""
    counts = tables.count_table(scores, runs)
    parts = counts.partition_by("level", "name", as_dict=True, maintain_order=True)
    return [(name, rows.rows(named=True)) for (_, name), rows in parts.items()]


def _plain(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip()
