"""The report's charts, as SVG that stands in a page without scripts, fonts or links.

Each function returns one `<svg>` element, or None where there is nothing to show. vl-convert
renders inside the process, without network.
"""

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl
import vl_convert
from markupsafe import Markup

from speciarl.report.tables import FIGURES, OUTCOMES, Published
from speciarl.report.visible import visible

# From vermilion through grey to ever deeper teal: the lightness differs too, so that the ladder
# survives red-green blindness and grey print.
OUTCOME_COLOURS = {
    "more specific": "#0b4a44",
    "specific": "#2b8a78",
    "less specific": "#7cc4ab",
    "generic": "#cfeadb",
    "abstain": "#c4c4c4",
    "wrong": "#c8502d",
    "unparsable": "#f0b64a",
    "failed": "#6a4c93",
}
_LIGHT_TEXT = ["more specific", "specific", "wrong", "failed"]
# After Okabe and Ito; seven colors with six shapes or five strokes keep many runs distinct.
_RUN_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#a84a86", "#222222", "#e69f00", "#56b4e9"]
_RUN_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 3]]
_RUN_SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"]
_WIDTH = 780
_MOST_POINTS = 120  # along the steps of a run; more become means of neighbors


def outcome_bars(scores: pl.DataFrame, runs: Sequence[str], label: str) -> Markup | None:
    """Per group a bar per run: shares of the six verdicts, unparsable and failed."""
    rows = scores.filter(
        pl.col("level") == "group", pl.col("samples") > 0, pl.col("run").is_in(list(runs))
    )
    if rows.is_empty():
        return None
    shares = _shares(rows, ["name", "run"], "samples")
    x = alt.X("start:Q", title="share of the images", axis=alt.Axis(format="%", grid=False),
              scale=alt.Scale(domain=[0, 1]))  # fmt: skip
    base = alt.Chart(shares).encode(y=alt.Y("run:N", title=None, sort=list(runs)))
    bars = base.mark_bar(stroke="white", strokeWidth=0.7).encode(
        x=x, x2="end:Q", color=_outcome_color(),
    )  # fmt: skip
    numbers = (
        base.transform_filter("datum.share >= 0.06")
        .mark_text(fontSize=10)
        .encode(
            x="middle:Q",
            text=alt.Text("share:Q", format=".0%"),
            color=alt.when(alt.FieldOneOfPredicate("outcome", _LIGHT_TEXT))
            .then(alt.value("white"))
            .otherwise(alt.value("#222")),
        )
    )
    panels = (bars + numbers).properties(width=_WIDTH, height=alt.Step(21))
    names = rows["name"].unique(maintain_order=True).to_list()
    return _svg(panels.facet(row=_panel("name", names), spacing=12), label, id_prefix="bars")


def reward_curves(
    training: Mapping[str, pl.DataFrame], runs: Sequence[str], label: str
) -> Markup | None:
    """Mean reward per step of each run that has rewards: faint as measured, bold smoothed."""
    rewarded = with_rewards(training, runs)
    parts = []
    for run, rows in rewarded.items():
        thin = _thinned(rows, [pl.col("reward").mean()])
        window = max(1, thin.height // 10)
        smooth = pl.col("reward").rolling_mean(window, min_samples=1, center=True)
        parts.append(thin.select(pl.lit(run).alias("run"), "step", "reward", smooth=smooth))
    if not parts:
        return None
    base = alt.Chart(pl.concat(parts)).encode(x=_steps(), **_run_lines(rewarded, runs))
    raw = base.mark_line(opacity=0.3, strokeWidth=1).encode(
        y=alt.Y("reward:Q", title="mean reward"), strokeDash=alt.value([1, 0])
    )
    bold = base.mark_line(strokeWidth=2.5).encode(y="smooth:Q")
    return _svg((raw + bold).properties(width=_WIDTH, height=220), label, id_prefix="reward")


def verdict_areas(
    training: Mapping[str, pl.DataFrame], runs: Sequence[str], label: str
) -> Markup | None:
    """Per run with rewards: the share of every verdict among the rollouts, over the steps."""
    rewarded = with_rewards(training, runs)
    parts = []
    for run, rows in rewarded.items():
        thin = _thinned(rows, [pl.col(c).sum() for c in OUTCOMES])
        thin = thin.with_columns(run=pl.lit(run), rollouts=pl.sum_horizontal(OUTCOMES))
        parts.append(_shares(thin.filter(pl.col("rollouts") > 0), ["run", "step"], "rollouts"))
    if not parts:
        return None
    areas = (
        alt.Chart(pl.concat(parts))
        .mark_area(stroke="white", strokeWidth=0.4)
        .encode(
            x=_steps(),
            y=alt.Y("start:Q", title="share", axis=alt.Axis(format="%", grid=False),
                    scale=alt.Scale(domain=[0, 1])),
            y2="end:Q",
            color=_outcome_color(),
        )
        .properties(width=_WIDTH, height=150)
    )  # fmt: skip
    return _svg(
        areas.facet(row=_panel("run", list(rewarded)), spacing=16), label, id_prefix="areas"
    )


def cache_lines(
    training: Mapping[str, pl.DataFrame], runs: Sequence[str], label: str
) -> Markup | None:
    """Lookups of the verdict store per step, hits and misses apart, each with its own scale."""
    rewarded = with_rewards(training, runs)
    parts = [
        _thinned(rows, [pl.col("hits").mean(), pl.col("misses").mean()])
        .unpivot(["hits", "misses"], index="step", variable_name="kind", value_name="lookups")
        .with_columns(run=pl.lit(run))
        for run, rows in rewarded.items()
    ]
    if not parts:
        return None
    lines = (
        alt.Chart(pl.concat(parts))
        .mark_line(strokeWidth=1.6)
        .encode(
            x=_steps(),
            y=alt.Y("lookups:Q", title="lookups per step", axis=alt.Axis(tickMinStep=1)),
            **_run_lines(rewarded, runs),
        )
        .properties(width=375, height=180)
        .facet(column=_panel("kind", ["hits", "misses"]), spacing=30)
        .resolve_scale(y="independent")
    )
    return _svg(lines, label, id_prefix="cache")


def trade_off(
    scores: pl.DataFrame, runs: Sequence[str], published: Published, label: str
) -> Markup | None:
    """Per group: specificity against correctness, a filled point per run, hollow as published."""
    own = scores.filter(pl.col("level") == "group", pl.col("run").is_in(list(runs)))
    groups = own["name"].unique(maintain_order=True).to_list()
    stated = [
        {"name": group, "run": run, **{f: published.figure(run, group, f) for f in FIGURES}}
        for group in groups
        for run in runs
    ]
    schema = {"name": pl.String, "run": pl.String, **dict.fromkeys(FIGURES, pl.Float64)}
    points = pl.concat(
        [
            own.select(*schema, origin=pl.lit("here")),
            pl.DataFrame(stated, schema=schema).with_columns(origin=pl.lit("published")),
        ]
    ).drop_nulls(["specificity", "correctness"])
    if points.filter(origin="here").is_empty():
        return None
    base = alt.Chart(points).encode(
        x=alt.X("specificity:Q", title="Specificity", axis=alt.Axis(format="~g"),
                scale=_towards_one(points["specificity"])),
        y=alt.Y("correctness:Q", title="Correctness", axis=alt.Axis(format="~g"),
                scale=_towards_one(points["correctness"])),
        color=alt.Color("run:N", title=None, scale=_run_scale(runs, runs, _RUN_COLOURS)),
        shape=alt.Shape("run:N", title=None, scale=_run_scale(runs, runs, _RUN_SHAPES)),
    )  # fmt: skip
    hollow = base.transform_filter("datum.origin == 'published'").mark_point(
        size=90, strokeWidth=1.6, filled=False
    )
    filled = base.transform_filter("datum.origin == 'here'").mark_point(
        size=90, filled=True, opacity=0.9
    )
    panels = (hollow + filled).properties(width=250, height=240)
    facets = panels.facet(_panel("name", groups), columns=3, spacing=24)
    return _svg(facets, label, id_prefix="tradeoff")


def with_rewards(
    training: Mapping[str, pl.DataFrame], runs: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """The metrics, by step, of those runs that a reward trained, in the order of `runs`."""
    return {
        run: training[run].filter(pl.col("reward").is_not_null()).sort("step")
        for run in runs
        if run in training and training[run]["reward"].count()
    }


def _thinned(rows: pl.DataFrame, values: Sequence[pl.Expr]) -> pl.DataFrame:
    """At most `_MOST_POINTS` rows: `values` over equal stretches of steps, at their first step."""
    stretch = -(-rows.height // _MOST_POINTS)
    return (
        rows.with_row_index("row")
        .group_by(pl.col("row") // stretch, maintain_order=True)
        .agg(pl.col("step").first(), *values)
        .drop("row")
    )


def _shares(rows: pl.DataFrame, keys: list[str], total: str) -> pl.DataFrame:
    """Counts as stretches of the unit interval, from more specific down to failed.

    Returns:
        keys, outcome, share, start, end, middle; the stretches of a row meet, 0 to 1.
    """
    label = {c: c.replace("_", " ") for c in OUTCOMES}
    order = pl.Enum(list(OUTCOME_COLOURS))
    return (
        rows.select(*keys, *(pl.col(c) / pl.col(total) for c in OUTCOMES))
        .rename(label)
        .unpivot(list(label.values()), index=keys, variable_name="outcome", value_name="share")
        .sort(pl.col("outcome").cast(order), maintain_order=True)
        .with_columns(end=pl.col("share").cum_sum().over(keys))
        .with_columns(start=pl.col("end") - pl.col("share"))
        .with_columns(middle=(pl.col("start") + pl.col("end")) / 2)
    )


def _outcome_color() -> alt.Color:
    scale = alt.Scale(domain=list(OUTCOME_COLOURS), range=list(OUTCOME_COLOURS.values()))
    return alt.Color("outcome:N", title=None, scale=scale)


def _steps() -> alt.X:
    axis = alt.Axis(tickMinStep=1, tickCount=8, grid=False)
    return alt.X("step:Q", title="step", axis=axis, scale=alt.Scale(nice=False))


def _panel(field: str, names: Sequence[str]) -> alt.Facet:
    header = alt.Header(
        title=None, labelOrient="top", labelAnchor="start", labelFontSize=13,
        labelFontWeight="bold", labelLimit=250,
    )  # fmt: skip
    return alt.Facet(f"{field}:N", sort=list(names), header=header)


def _run_scale(shown: Iterable[str], runs: Sequence[str], values: Sequence) -> alt.Scale:
    """Each shown run has the value at its place in `runs`, whichever others are shown."""
    by_run = {run: values[i % len(values)] for i, run in enumerate(runs)}
    return alt.Scale(domain=list(shown), range=[by_run[run] for run in shown])


def _run_lines(shown: Iterable[str], runs: Sequence[str]) -> dict[str, Any]:
    colors, dashes = _run_scale(shown, runs, _RUN_COLOURS), _run_scale(shown, [*shown], _RUN_DASHES)
    return {
        "color": alt.Color("run:N", title=None, scale=colors),
        "strokeDash": alt.StrokeDash("run:N", title=None, scale=dashes),
    }


def _towards_one(values: pl.Series) -> alt.Scale:
    """From a little below the lowest value to a little above 1."""
    lowest = min(values.to_list())
    low = max(0.0, math.floor((lowest - 0.03) * 20) / 20)
    return alt.Scale(domain=[low, 1.02], nice=False)


def _svg(chart: alt.TopLevelMixin, label: str, id_prefix: str) -> Markup:
    """The chart as one inline element, named by `label` for those who cannot see it.

    The one place of the report where text becomes markup: Vega escapes the names in a chart.
    """
    styled = (
        chart.configure(font="Helvetica, Arial, Liberation Sans, sans-serif", aria=False)
        .configure_view(stroke="#ddd")
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal",
                        labelLimit=150)
        .configure_legend(orient="top", labelFontSize=12, symbolStrokeWidth=2, labelLimit=200,
                          symbolOpacity=1, columns=8)
    )  # fmt: skip
    with alt.data_transformers.disable_max_rows():  # many runs are more than 5,000 rows
        specification = styled.to_dict()
    text = vl_convert.vegalite_to_svg(_all_visible(specification))
    # Inline elements need no namespace, and the ids of several charts must not meet in one page.
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'\bid="', f'id="{id_prefix}-', text).replace("url(#", f"url(#{id_prefix}-")
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1))


def _all_visible(value):
    """A specification with every text in it made visible; a NUL would end the process."""
    if isinstance(value, dict):
        return {key: _all_visible(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_all_visible(item) for item in value]
    return visible(value) if isinstance(value, str) else value
