"""The report's charts of training, over the steps of each run that a reward trained.

As in `charts`, each function returns one `<svg>` element, or None where there is nothing to show.
"""

from collections.abc import Callable, Mapping, Sequence

import altair as alt
import polars as pl
from markupsafe import Markup

from speciarl.report.charts import (
    RUN_COLORS,
    RUN_DASHES,
    WIDTH,
    outcome_color,
    panel,
    run_scale,
    stretches,
    svg,
)
from speciarl.report.tables import MOVES
from speciarl.verdicts import OUTCOMES

_MOST_POINTS = 120  # along the steps of a run; more become means of neighbors


def reward_curves(
    training: Mapping[str, pl.DataFrame], runs: Sequence[str], label: str
) -> Markup | None:
    """Reward per step of each run that has rewards: thin each seed, bold their mean, smoothed."""
    rewarded = with_rewards(training, runs)
    parts = [
        _smoothed(given).select(pl.lit(run).alias("run"), seed, "step", "reward")
        for run, rows in rewarded.items()
        for seed, given in [
            (pl.lit(None, pl.String).alias("seed"), rows),
            *(
                (pl.lit(str(seed)).alias("seed"), rows.filter(seed=seed))
                for seed in rows["seed"].unique().sort()
            ),
        ]
    ]
    if not parts:
        return None
    base = alt.Chart(pl.concat(parts)).encode(
        x=_steps(),
        y=alt.Y("reward:Q", title="mean reward"),
        color=alt.Color("run:N", title=None, scale=run_scale(rewarded, runs, RUN_COLORS)),
        strokeDash=alt.StrokeDash(
            "run:N", title=None, scale=run_scale(rewarded, list(rewarded), RUN_DASHES)
        ),
    )
    bold = base.transform_filter("!isValid(datum.seed)").mark_line(strokeWidth=2.5)
    thin = (
        base.transform_filter("isValid(datum.seed)")
        .mark_line(opacity=0.45, strokeWidth=1)
        .encode(detail="seed:N", strokeDash=alt.value([1, 0]))
    )
    return svg((thin + bold).properties(width=WIDTH, height=220), label, id_prefix="reward")


def verdict_areas(
    training: Mapping[str, pl.DataFrame], runs: Sequence[str], label: str
) -> Markup | None:
    """Per run with rewards: the share of every verdict among the rollouts, over the steps."""
    rewarded = with_rewards(training, runs)
    parts = []
    for run, rows in rewarded.items():
        thin = _thinned(rows, [pl.col(OUTCOMES).sum()])
        thin = thin.with_columns(run=pl.lit(run), rollouts=pl.sum_horizontal(OUTCOMES))
        parts.append(stretches(thin.filter(pl.col("rollouts") > 0), ["run", "step"], "rollouts"))
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
            color=outcome_color(),
        )
        .properties(width=WIDTH, height=150)
    )  # fmt: skip
    return svg(areas.facet(row=panel("run", list(rewarded)), spacing=16), label, id_prefix="areas")


def cache_lines(
    training: Mapping[str, pl.DataFrame], runs: Sequence[str], label: str
) -> Markup | None:
    """Lookups of the verdict store per step, hits and misses apart, each with its own scale."""
    y = alt.Y("value:Q", title="lookups per step", axis=alt.Axis(tickMinStep=1))
    rewarded = with_rewards(training, runs)
    return _lines(rewarded, runs, ["hits", "misses"], pl.Expr.sum, y, label, "cache")


def policy_lines(
    training: Mapping[str, pl.DataFrame], runs: Sequence[str], label: str
) -> Markup | None:
    """How the policy moves: `MOVES` per step as means over seeds, those that are ever above 0."""
    rewarded = with_rewards(training, runs)
    moving = [name for name in MOVES if any((rows[name] > 0).any() for rows in rewarded.values())]
    return _lines(
        rewarded, runs, moving, pl.Expr.mean, alt.Y("value:Q", title=None), label, "moves"
    )


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
    parts = [
        _thinned(
            rows.group_by("step", maintain_order=True).agg(over_seeds(pl.col(names))),
            [pl.col(names).mean()],
        )
        .unpivot(names, index="step", variable_name="kind")
        .with_columns(pl.col("kind").str.replace_all("_", " "), run=pl.lit(run))
        for run, rows in rewarded.items()
        if names
    ]
    if not parts:
        return None
    lines = (
        alt.Chart(pl.concat(parts))
        .mark_line(strokeWidth=1.6)
        .encode(
            x=_steps(),
            y=y,
            color=alt.Color("run:N", title=None, scale=run_scale(rewarded, runs, RUN_COLORS)),
            strokeDash=alt.StrokeDash(
                "run:N", title=None, scale=run_scale(rewarded, list(rewarded), RUN_DASHES)
            ),
        )
        .properties(width=750 // len(names), height=180)
        .facet(column=panel("kind", [name.replace("_", " ") for name in names]), spacing=30)
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


def _steps() -> alt.X:
    axis = alt.Axis(tickMinStep=1, tickCount=8, grid=False)
    return alt.X("step:Q", title="step", axis=axis, scale=alt.Scale(nice=False))
