"""The report as one HTML file that needs nothing else: no script, font, picture or link."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import polars as pl
import yaml

from speciarl.report import charts
from speciarl.report.findings import (
    UNDEFINED,
    Seen,
    group_findings,
    groups_explained,
    headline,
    miniature_note,
    printed,
    unseen_groups,
)
from speciarl.report.judges import judges_section
from speciarl.report.markup import Column, escaped, figure, listing, paragraph, table
from speciarl.report.signs import signs_section
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

_HEADINGS = {"specificity": "Spec.", "correctness": "Corr.", "hm": "HM"}


@dataclass(frozen=True)
class Evidence:
    """What the page shows: `training` and `answers` by run, as far as there are any.

    `judged` are the files of the `judge` stage, where it asked another verifier than training.
    """

    scores: pl.DataFrame
    training: Mapping[str, pl.DataFrame]
    answers: Mapping[str, pl.DataFrame]
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
    template = Template(Path(__file__).with_name("page.html").read_text())
    return template.substitute(
        title=escaped(title),
        summary=_summary(evidence, miniature),
        main=_main(evidence),
        answers=_answers(evidence),
        trade=_trade(evidence),
        training=_training(evidence),
        cache=_cache(evidence),
        signs=_signs(evidence),
        datasets=_datasets(evidence),
        counts=_counts(evidence),
        metrics=_metrics(evidence),
        provenance="\n".join(
            f"<h3>{escaped(name)}</h3>\n<pre>{escaped(_plain(value))}</pre>"
            for name, value in provenance.items()
        ),
    )


def _summary(e: Evidence, miniature: Sequence[str]) -> str:
    compared = (e.scores, e.runs, e.published, e.seen)
    parts = [paragraph(headline(*compared), "lead")]
    found = group_findings(*compared)
    if found:
        said = [f"<b>{escaped(group)}</b>: {escaped(' '.join(text))}" for group, text in found]
        parts.append(listing(said))
        rows = [
            score_of(e.scores, e.published.method, "group", g) for g in unseen_groups(*compared)
        ]
        sizes = " and ".join(str(row["samples"]) for row in rows if row)
        parts.append(
            paragraph(
                f"Every row is one run with one seed, scored on {sizes} pictures a group: "
                "small differences can be chance."
            )
        )
    if miniature:
        parts.append(paragraph(miniature_note(miniature), "note"))
    return "\n".join(parts)


def _main(e: Evidence) -> str:
    main = main_table(e.scores, e.runs, e.published)
    columns = [Column("run")]
    for group in names_of(e.scores, "group"):
        columns += [Column(h, group, "first" * (n == FIGURES[0])) for n, h in _HEADINGS.items()]
        columns += [
            Column(f"paper {h}", group, "paper")
            for n, h in _HEADINGS.items()
            if e.published.states(group, n)
        ]
    rows = [[row[0], *map(printed, row[1:])] for row in main.rows()]
    caption = (
        f"Specificity, Correctness and harmonic mean (HM) per group; in italics as published "
        f"({e.published.source}). Bold: the highest HM of a group, {e.published.bound} aside. "
        "A dash: undefined, or not published."
    )
    return table(caption, columns, [(None, rows)], _highest(main, e))


def _highest(main: pl.DataFrame, e: Evidence) -> frozenset[tuple[int, int]]:
    """Cells of the main table that hold the highest HM of a group, ties included."""
    marked = set()
    for group in names_of(e.scores, "group"):
        column = main.columns.index(f"{group} hm")
        cells = {
            i: round(row[column], 3)
            for i, row in enumerate(main.rows())
            if row[column] is not None and row[0] != e.published.bound
        }
        marked |= {(i, column) for i, value in cells.items() if value == max(cells.values())}
    return frozenset(marked)


def _answers(e: Evidence) -> str:
    label = "Stacked bars: share of each verdict by group and run; the counts are tabled below."
    chart = charts.outcome_bars(e.scores, e.runs, label)
    if chart is None:
        return paragraph("No pictures were scored.")
    return figure(
        chart,
        "Share of the pictures by verdict, in each group. Teal is correct, deeper where more "
        "specific. Unparsable: no answer could be read; failed: the judge gave no verdict.",
    )


def _trade(e: Evidence) -> str:
    label = "Scatter plot: specificity and correctness of every run by group, as in the main table."
    chart = charts.trade_off(e.scores, e.runs, e.published, label)
    if chart is None:
        return paragraph("No run has both figures.")
    return figure(
        chart,
        "One point a run, filled as measured here, hollow as published (where the paper states "
        "both figures). The better, the closer to the upper right corner. Axes do not start at 0.",
    )


def _training(e: Evidence) -> str:
    parts = []
    reward = charts.reward_curves(
        e.training, e.runs, "Line chart: mean reward per step of every run trained by a reward."
    )
    shares = charts.verdict_areas(
        e.training, e.runs, "Area charts: share of each verdict among the rollouts over the steps."
    )
    if reward and shares:
        parts += [
            figure(
                reward,
                "Mean reward of the rollouts per step: faint as measured, bold as a moving mean "
                "over a tenth of the steps. Runs with different rewards earn on different scales, "
                "so compare shapes, not heights. Long runs are drawn as means over stretches of "
                "steps.",
            ),
            figure(shares, "Share of the rollouts by verdict, over the steps of training."),
        ]
    else:
        parts.append(paragraph("No run was trained by a reward."))
    rewarded = charts.with_rewards(e.training, e.runs)
    others = [_other_training(e, run) for run in e.runs if run not in rewarded]
    return "\n".join([*parts, listing(escaped(text) for text in others)] if others else parts)


def _other_training(e: Evidence, run: str) -> str:
    rows = e.training.get(run, pl.DataFrame({"step": [], "loss": []})).drop_nulls("loss")
    if rows.is_empty():
        return f"{run}: no training metrics."
    losses = rows.sort("step")["loss"]
    return (
        f"{run}: trained without rewards for {rows.height} steps, loss {losses[0]:.3f} at the "
        f"first and {losses[-1]:.3f} at the last."
    )


def _cache(e: Evidence) -> str:
    label = "Line charts: lookups per step found in the verdict store (hits), and not (misses)."
    chart = charts.cache_lines(e.training, e.runs, label)
    if chart is None:
        return paragraph("No run looked up verdicts in training.")
    rows = []
    for run, metrics in charts.with_rewards(e.training, e.runs).items():
        hits, misses = (int(metrics[c].sum()) for c in ("hits", "misses"))
        share = f"{hits / (hits + misses):.1%}" if hits + misses else UNDEFINED
        rows.append(
            [run, *(f"{n:,}" for n in (metrics.height, hits + misses, hits, misses)), share]
        )
    names = ("run", "steps", "lookups", "hits", "misses", "share of hits")
    caption = "Lookups over the whole training; only a miss asks the verifier."
    return figure(chart, "Lookups per step; the two scales differ.") + table(
        caption, [Column(name) for name in names], [(None, rows)]
    )


def _signs(e: Evidence) -> str:
    judges = judges_section(list(e.answers.values()), e.judged)
    return "\n".join(filter(None, [signs_section(e.answers, e.runs), judges]))


def _datasets(e: Evidence) -> str:
    figures = dataset_table(e.scores, e.runs)
    columns = [Column(h) for h in ("run", "pictures", *_HEADINGS.values())]
    parts = []
    for name in names_of(e.scores, "dataset"):
        rows = [
            [row["run"], str(row["samples"]), *(printed(row[f]) for f in FIGURES)]
            for row in figures.filter(dataset=name).iter_rows(named=True)
        ]
        parts.append(table(name, columns, [(None, rows)]))
    return '<div class="grid">\n' + "\n".join(parts) + "\n</div>"


def _counts(e: Evidence) -> str:
    counts = count_table(e.scores, e.runs)
    bodies = [
        (name, [list(map(str, row)) for row in rows.drop("level", "name").iter_rows()])
        for (_, name), rows in counts.partition_by(
            "level", "name", as_dict=True, maintain_order=True
        ).items()
    ]
    headings = ("run", "pictures", *(c.replace("_", " ") for c in OUTCOMES), "undecided, in wrong")
    caption = (
        "Pictures by verdict, for groups and then for datasets. The eight columns from wrong to "
        "failed add up to the pictures."
    )
    return table(caption, [Column(h) for h in headings], bodies)


def _metrics(e: Evidence) -> str:
    weights = ", ".join(f"{n.replace('_', ' ')} {w:g}" for n, w in list(e.weights.items())[::-1])
    meaning = {
        "Correctness": "Share of the pictures whose answer was judged generic, less specific, "
        "specific or more specific. An unparsable output counts as not correct; a picture on "
        "which the judge failed is left out.",
        "Specificity": f"Mean weight of the correct answers. Weights used: {weights}. The paper's "
        "own weights are not public; with the counts above, any others can be tried.",
        "HM": "Harmonic mean of the two, 2SC / (S + C). A group's figures are plain means over "
        "its datasets, HM included; its counts are sums.",
        "Unparsable": "The output holds no answer in the form that was asked for.",
        "Failed": "The judge could not be had or answered outside the six verdicts.",
        "Undecided": "No verifier could tell how the answer relates to the class; it is counted "
        "as wrong, so Correctness is a lower bound where there are many.",
        "Groups": groups_explained(e.scores, e.seen),
    }
    terms = [f"<dt>{escaped(k)}</dt><dd>{escaped(text)}</dd>" for k, text in meaning.items()]
    return "<dl>\n" + "\n".join(terms) + "\n</dl>"


def _plain(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip()
