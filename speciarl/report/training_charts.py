"""The report's charts of training, over the steps of each run that a reward trained.

As in `charts`, each function returns one `<svg>` element, or None where there is nothing to show.
`rewarded` are the metrics by run of `with_rewards`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl
from markupsafe import Markup

from speciarl.report.charts import (
    POINTS,
    RUN_COLORS,
    RUN_DASHES,
    STROKES,
    WIDTH,
    outcome_color,
    panel,
    run_scale,
    stretches,
    svg,
)
from speciarl.report.tables import MOVES
from speciarl.verdicts import OUTCOMES

_TITLES = {
    "kl": "KL (nats a token)", "clip_ratio": "clipped (share of the tokens)",
    "completion_length": "completion (tokens)", "hits": "hits", "misses": "misses",
}  # fmt: skip
_MOST_POINTS = 120  # along the steps of a run; more become means of neighbors


def reward_curves(rewarded: Mapping[str, pl.DataFrame], runs: Sequence[str]) -> Markup | None:
    """Reward per step of each run: thin each seed, bold their mean, smoothed."""
    if not rewarded:
        return None
    curves = [
        _smoothed(rows if seed is None else rows.filter(seed=seed)).select(
            pl.lit(run).alias("run"), pl.lit(seed).cast(pl.String).alias("seed"), "step", "reward"
        )
        for run, rows in rewarded.items()
        for seed in (None, *rows["seed"].unique().sort())
    ]
    base = alt.Chart(pl.concat(curves)).encode(
        x=_steps(),
        y=alt.Y("reward:Q", title="mean reward"),
        **_stroke(rewarded, runs),
    )
    bold = base.transform_filter("!isValid(datum.seed)").mark_line(strokeWidth=2.5, point=POINTS)
    thin = (
        base.transform_filter("isValid(datum.seed)")
        .mark_line(opacity=0.45, strokeWidth=1)
        .encode(detail="seed:N", strokeDash=alt.value([1, 0]))
    )
    label = "Line chart: mean reward per step of every run trained by a reward."
    return svg((thin + bold).properties(width=WIDTH, height=220), label, id_prefix="reward")


def verdict_areas(rewarded: Mapping[str, pl.DataFrame]) -> Markup | None:
    """Per run: the share of every verdict among the rollouts, over the steps."""
    if not rewarded:
        return None
    parts = []
    for run, rows in rewarded.items():
        thin = _thinned(rows, [pl.col(OUTCOMES).sum()])
        thin = thin.with_columns(run=pl.lit(run), rollouts=pl.sum_horizontal(OUTCOMES))
        found = stretches(thin.filter(pl.col("rollouts") > 0), ["run", "step"], "rollouts")
        parts.append(found.drop("share", "middle"))
    areas = (
        alt.Chart(pl.concat(parts))
        .mark_area(stroke="white", strokeWidth=0.4)
        .encode(
            x=_steps(),
            y=alt.Y("start:Q", title="share", axis=alt.Axis(format="%", grid=False),
                    scale=alt.Scale(domain=[0, 1])),
            y2="end:Q",
            color=outcome_color(),
        )
        .properties(width=WIDTH, height=150)
    )  # fmt: skip
    label = "Area charts: share of each verdict among the rollouts over the steps."
    return svg(areas.facet(row=panel("run", list(rewarded)), spacing=16), label, id_prefix="areas")


def cache_lines(rewarded: Mapping[str, pl.DataFrame], runs: Sequence[str]) -> Markup | None:
    """Lookups of the verdict store per step, hits and misses apart, each with its own scale."""
    y = alt.Y("value:Q", title="lookups per step", axis=alt.Axis(tickMinStep=1))
    label = "Line charts: lookups per step found in the verdict store (hits), and not (misses)."
    return _lines(rewarded, runs, ["hits", "misses"], pl.Expr.sum, y, label, "cache")


def policy_lines(rewarded: Mapping[str, pl.DataFrame], runs: Sequence[str]) -> Markup | None:
    """How the policy moves: `MOVES` per step as means over seeds, those that are ever above 0."""
    moving = [name for name in MOVES if any((rows[name] > 0).any() for rows in rewarded.values())]
    label = f"Line charts: {', '.join(moving).replace('_', ' ')}, each over the steps."
    y = alt.Y("value:Q", title=None)
    return _lines(rewarded, runs, moving, pl.Expr.mean, y, label, "moves")


def _lines(
    rewarded: Mapping[str, pl.DataFrame],
    runs: Sequence[str],
    names: Sequence[str],
    over_seeds: Callable[[pl.Expr], pl.Expr],
    y: alt.Y,
    label: str,
    id_prefix: str,
) -> Markup | None:
    """A panel for each of the names, with a line for each run."""
    if not rewarded or not names:
        return None
    parts = [
        _thinned(
            rows.group_by("step", maintain_order=True).agg(over_seeds(pl.col(names))),
            [pl.col(names).mean()],
        )
        .unpivot(names, index="step", variable_name="kind")
        .with_columns(pl.col("kind").replace_strict(_TITLES), run=pl.lit(run))
        for run, rows in rewarded.items()
    ]
    lines = (
        alt.Chart(pl.concat(parts))
        .mark_line(strokeWidth=1.6, point=POINTS)
        .encode(
            x=_steps(),
            y=y,
            **_stroke(rewarded, runs),
        )
        .properties(width=750 // len(names), height=180)
        .facet(column=panel("kind", [_TITLES[name] for name in names]), spacing=30)
        .resolve_scale(y="independent")
    )
    return svg(lines, label, id_prefix=id_prefix)


def with_rewards(
    training: Mapping[str, pl.DataFrame], runs: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """Metrics, by step and seed, of those runs that a reward trained, in the order of `runs`."""
    return {
        run: training[run].drop_nulls("reward").sort("step", "seed")
        for run in runs
        if run in training and training[run]["reward"].count()
    }


def _smoothed(rows: pl.DataFrame) -> pl.DataFrame:
    """step and reward: means over seeds, then a moving mean over a tenth of the steps."""
    thin = _thinned(rows, [pl.col("reward").mean()])
    window = max(1, thin.height // 10)
    return thin.with_columns(pl.col("reward").rolling_mean(window, min_samples=1, center=True))


def _thinned(rows: pl.DataFrame, values: Sequence[pl.Expr]) -> pl.DataFrame:
    """At most `_MOST_POINTS` rows: `values` over equal stretches of steps, at their first step."""
    place = pl.col("step").rank("dense").cast(pl.Int64) - 1
    stretch = -(-rows["step"].n_unique() // _MOST_POINTS)
    return (
        rows.group_by(place // stretch, maintain_order=True)
        .agg(pl.col("step").first().alias("first"), *values)
        .drop("step")
        .rename({"first": "step"})
    )


def _stroke(rewarded: Mapping[str, pl.DataFrame], runs: Sequence[str]) -> dict[str, Any]:
    dashes = run_scale(rewarded, list(rewarded), RUN_DASHES)
    colors = run_scale(rewarded, runs, RUN_COLORS)
    return {
        "color": alt.Color("run:N", title=None, scale=colors, legend=STROKES),
        "strokeDash": alt.StrokeDash("run:N", title=None, scale=dashes, legend=STROKES),
    }


def _steps() -> alt.X:
    axis = alt.Axis(tickMinStep=1, tickCount=8, grid=False)
    return alt.X("step:Q", title="step", axis=axis, scale=alt.Scale(nice=False))
