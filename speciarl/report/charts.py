"""The report's charts: SVG that needs no script, and beside it what a script makes it live with.

Each function returns one `<svg>` element and, as JSON, the specification that it was drawn from;
or None where there is nothing to show. vl-convert renders inside the process, without network.
"""

import html
import math
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import altair as alt
import polars as pl
import vl_convert
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from speciarl.report.tables import AREAS, METRICS, Published
from speciarl.report.visible import visible
from speciarl.verdicts import OUTCOMES

# From vermilion through grey to ever deeper teal: the lightness differs too, so that the ladder
# survives red-green blindness and grey print.
OUTCOME_COLORS = {
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
RUN_COLORS = ["#0072b2", "#d55e00", "#009e73", "#a84a86", "#222222", "#e69f00", "#56b4e9"]
RUN_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 3]]
RUN_SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"]
WIDTH = 780
# A line has one tooltip for all of it, so that its values are told by points that nobody sees.
POINTS = alt.OverlayMarkDef(opacity=0, size=60, tooltip=True)
STROKES = alt.Legend(symbolType="stroke")


def outcome_bars(scores: pl.DataFrame, runs: Sequence[str], level: str = "group") -> Markup | None:
    """Per group, or dataset, a bar per run: shares of the six verdicts, unparsable and failed."""
    rows = scores.filter(
        pl.col("level") == level, pl.col("samples") > 0, pl.col("run").is_in(list(runs))
    )
    if rows.is_empty():
        return None
    shares = stretches(rows, ["name", "run"], "samples")
    x = alt.X("start:Q", title="share of the images", axis=alt.Axis(format="%", grid=False),
              scale=alt.Scale(domain=[0, 1]))  # fmt: skip
    base = alt.Chart(shares).encode(y=alt.Y("run:N", title=None, sort=list(runs)))
    bars = base.mark_bar(stroke="white", strokeWidth=0.7).encode(
        x=x, x2="end:Q", color=outcome_color(),
        tooltip=["run:N", "outcome:N", alt.Tooltip("share:Q", format=".1%")],
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
    panels = (bars + numbers).properties(width=WIDTH, height=alt.Step(21))
    names = rows["name"].unique(maintain_order=True).to_list()
    label = f"Stacked bars: share of each verdict by {level} and run; the counts are tabled below."
    facets = panels.facet(row=panel("name", names), spacing=12)
    return svg(facets, label, id_prefix=f"{level}-bars")


def harmonic_means(
    scores: pl.DataFrame, by_seed: pl.DataFrame, runs: Sequence[str]
) -> Markup | None:
    """Per group a line per run: its mean HM, the 95 % interval, and a tick for each seed."""
    columns = ["run", "name", "hm", "hm_low", "hm_high", "origin"]
    points = pl.concat(
        rows.filter(pl.col("level").is_in(AREAS), pl.col("run").is_in(list(runs)))
        .with_columns(origin=pl.lit(origin))
        .select(columns)
        for origin, rows in (("mean", scores), ("seed", by_seed))
    ).drop_nulls("hm")
    if points.is_empty():
        return None
    names = points["name"].unique(maintain_order=True).to_list()
    base = alt.Chart(points).encode(
        y=alt.Y("run:N", title=None, sort=list(runs)),
        x=alt.X("hm:Q", title="HM", axis=alt.Axis(format="~g", tickCount=6),
                scale=alt.Scale(zero=False)),
        color=alt.Color("run:N", legend=None, scale=run_scale(runs, runs, RUN_COLORS)),
    )  # fmt: skip
    mean = base.transform_filter("datum.origin == 'mean'")
    bars = mean.transform_filter("isValid(datum.hm_low)").mark_rule(strokeWidth=2)
    seeds = base.transform_filter("datum.origin == 'seed'").mark_tick(thickness=1, size=11)
    layers = bars.encode(x="hm_low:Q", x2="hm_high:Q") + seeds + mean.mark_point(
        size=60, filled=True, opacity=1
    )  # fmt: skip
    panels = layers.properties(width=310, height=alt.Step(21))
    facets = panels.facet(panel("name", names), columns=2, spacing=24)
    label = "Dot plot: HM of every run by group with its 95 % interval, as tabled below."
    return svg(facets.resolve_scale(x="independent"), label, id_prefix="hm")


def best_of_lines(curves: pl.DataFrame, runs: Sequence[str]) -> Markup | None:
    """Per group HM of the best of k samples against k, with a band for its 95 % interval."""
    rows = curves.filter(pl.col("level").is_in(AREAS), pl.col("run").is_in(list(runs)))
    if (rows := rows.drop_nulls("hm")).is_empty():
        return None
    names = rows["name"].unique(maintain_order=True).to_list()
    shown = [run for run in runs if run in rows["run"]]
    most = rows["k"].to_list()
    ticks = [2**n for n in range(max(most).bit_length())]
    base = alt.Chart(rows).encode(
        x=alt.X("k:Q", title="samples of an image", scale=alt.Scale(type="log", base=2),
                axis=alt.Axis(values=ticks, format="d", grid=False)),
        color=alt.Color("run:N", title=None, scale=run_scale(shown, runs, RUN_COLORS),
                        legend=STROKES),
        detail="seed:N",
    )  # fmt: skip
    hm = alt.Y("hm:Q", title="HM", axis=alt.Axis(format="~g"), scale=alt.Scale(zero=False))
    bands = base.transform_filter("isValid(datum.hm_low)").mark_area(opacity=0.2)
    layers = bands.encode(y=alt.Y("hm_low:Q", title="HM"), y2="hm_high:Q") + base.mark_line(
        strokeWidth=1.8, point=POINTS
    ).encode(y=hm)
    facets = layers.properties(width=310, height=170).facet(
        panel("name", names), columns=2, spacing=24
    )
    label = "Line charts: HM of the best of k samples by group against k, as tabled below."
    return svg(facets, label, id_prefix="bestof")


def trade_off(scores: pl.DataFrame, runs: Sequence[str], published: Published) -> Markup | None:
    """Per group: specificity against correctness, a filled point per run, hollow as published."""
    own = scores.filter(pl.col("level") == "group", pl.col("run").is_in(list(runs)))
    groups = own["name"].unique(maintain_order=True).to_list()
    stated = [
        {"name": group, "run": run, **{f: published.metric(run, group, f) for f in METRICS}}
        for group in groups
        for run in runs
    ]
    ends = [f"{axis}_{end}" for axis in ("specificity", "correctness") for end in ("low", "high")]
    schema = {"name": pl.String, "run": pl.String, **dict.fromkeys(METRICS, pl.Float64)}
    points = pl.concat(
        [
            own.select(*schema, *ends, origin=pl.lit("here")),
            pl.DataFrame(stated, schema=schema).with_columns(origin=pl.lit("published")),
        ],
        how="diagonal",
    ).drop_nulls(["specificity", "correctness"])
    if points.filter(origin="here").is_empty():
        return None
    axes: list[dict[str, Any]] = [
        {"title": m.title(), "axis": alt.Axis(format="~g"), "scale": _towards_one(points[m])}
        for m in ("specificity", "correctness")
    ]
    x, y = axes
    base = alt.Chart(points).encode(
        x=alt.X("specificity:Q", **x),
        y=alt.Y("correctness:Q", **y),
        color=alt.Color("run:N", title=None, scale=run_scale(runs, runs, RUN_COLORS)),
    )  # fmt: skip
    shape = alt.Shape("run:N", title=None, scale=run_scale(runs, runs, RUN_SHAPES))
    marks = base.encode(shape=shape)
    hollow = marks.transform_filter("datum.origin == 'published'").mark_point(
        size=90, strokeWidth=1.6, filled=False
    )
    filled = marks.transform_filter("datum.origin == 'here'").mark_point(
        size=90, filled=True, opacity=0.9
    )
    bars = base.transform_filter("isValid(datum.specificity_low)").mark_rule(opacity=0.6)
    across = bars.encode(x=alt.X("specificity_low:Q", **x), x2="specificity_high:Q")
    along = bars.encode(y=alt.Y("correctness_low:Q", **y), y2="correctness_high:Q")
    panels = (across + along + hollow + filled).properties(width=250, height=240)
    facets = panels.facet(panel("name", groups), columns=3, spacing=24)
    label = "Scatter plot: specificity and correctness of every run by group, as tabled above."
    return svg(facets, label, id_prefix="tradeoff")


def stretches(rows: pl.DataFrame, keys: list[str], total: str) -> pl.DataFrame:
    """Counts as stretches of the unit interval, from more specific down to failed.

    Returns:
        keys, outcome, share, start, end, middle; the stretches of a row meet, 0 to 1.
    """
    label = {c: c.replace("_", " ") for c in OUTCOMES}
    order = pl.Enum(list(OUTCOME_COLORS))
    return (
        rows.select(*keys, *(pl.col(c) / pl.col(total) for c in OUTCOMES))
        .rename(label)
        .unpivot(list(label.values()), index=keys, variable_name="outcome", value_name="share")
        .sort(pl.col("outcome").cast(order), maintain_order=True)
        .with_columns(end=pl.col("share").cum_sum().over(keys))
        .with_columns(start=pl.col("end") - pl.col("share"))
        .with_columns(middle=(pl.col("start") + pl.col("end")) / 2)
    )


def outcome_color() -> alt.Color:
    scale = alt.Scale(domain=list(OUTCOME_COLORS), range=list(OUTCOME_COLORS.values()))
    return alt.Color("outcome:N", title=None, scale=scale)


def panel(field: str, names: Sequence[str]) -> alt.Facet:
    header = alt.Header(
        title=None, labelOrient="top", labelAnchor="start", labelFontSize=13,
        labelFontWeight="bold", labelLimit=250,
    )  # fmt: skip
    return alt.Facet(f"{field}:N", sort=list(names), header=header)


def run_scale(shown: Iterable[str], runs: Sequence[str], values: Sequence) -> alt.Scale:
    """Each shown run has the value at its place in `runs`, whichever others are shown."""
    by_run = {run: values[i % len(values)] for i, run in enumerate(runs)}
    return alt.Scale(domain=list(shown), range=[by_run[run] for run in shown])


def _towards_one(values: pl.Series) -> alt.Scale:
    """From a little below the lowest value to a little above 1."""
    lowest = min(values.to_list())
    low = max(0.0, math.floor((lowest - 0.03) * 20) / 20)
    return alt.Scale(domain=[low, 1.02], nice=False)


@cache
def libraries() -> Markup:
    """Vega-Lite's own script, as vl-convert carries it: what draws a chart in the browser."""
    return Markup(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # all of it


def svg(chart: alt.TopLevelMixin, label: str, id_prefix: str) -> Markup:
    """The chart as one inline element, named by `label` for those who cannot see it.

    Its specification follows, for the page's script to draw it again and show values on hover. The
    one place where text becomes markup: Vega escapes the names in a chart, Jinja those in JSON.
    """
    styled = (
        chart.configure(font="Helvetica, Arial, Liberation Sans, sans-serif", aria=False,
                        numberFormat=".3~f")
        .configure_point(tooltip=True)
        .configure_rule(tooltip=True)
        .configure_tick(tooltip=True)
        .configure_view(stroke="#ddd")
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal",
                        labelLimit=150)
        .configure_legend(orient="top", labelFontSize=12, symbolStrokeWidth=2, labelLimit=200,
                          symbolOpacity=1, columns=8)
    )  # fmt: skip
    with alt.data_transformers.disable_max_rows():  # many runs are more than 5,000 rows
        specification = _fit_for_a_page(styled.to_dict())
    text = vl_convert.vegalite_to_svg(specification)
    # Coordinates are told to a hundredth of a pixel.
    text = re.sub(r'(?<= d=")[^"]*', lambda line: re.sub(r"(\.\d\d)\d+", r"\1", line[0]), text)
    # Inline elements need no namespace, and the ids of several charts must not meet in one page.
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'\bid="', f'id="{id_prefix}-', text).replace("url(#", f"url(#{id_prefix}-")
    drawn = text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)
    json = htmlsafe_json_dumps(specification)
    return Markup(f'{drawn}<script type="application/json">{json}</script>')


def _fit_for_a_page(value):
    """A specification with every text in it made visible, since a NUL would end the process, and
    numbers no longer than a chart shows, which at the paper's scale is a megabyte less."""
    if isinstance(value, dict):
        return {key: _fit_for_a_page(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_fit_for_a_page(item) for item in value]
    if isinstance(value, float):
        return round(value, 5)
    return visible(value) if isinstance(value, str) else value
