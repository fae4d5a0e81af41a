"""The report's section on luck: how many rollouts the dynamic reward bears, by classes a group.

The reward asks for the best verdict among a group's rollouts. A policy that guesses hits the class
once in a while; the more tries, the more groups are won by luck, and in these a prediction that
stays at what can be seen is punished.
"""

from collections.abc import Iterator

import altair as alt
import polars as pl
from markupsafe import Markup

from speciarl.errors import DataError
from speciarl.report.charts import RUN_COLORS, RUN_SHAPES, svg
from speciarl.report.findings import stated

COLUMNS = (
    "classes_per_group", "num_generations", "seeds", "lucky_share",
    "in_samples", "in_failed", "in_hm", "in_hm_low", "in_hm_high",
    "out_samples", "out_failed", "out_hm", "out_hm_low", "out_hm_high",
    "out_wrong_ambiguous",
)  # fmt: skip
_DOMAINS = {"in": "in domain", "out": "out of domain"}


def rollouts_chart(rollouts: pl.DataFrame, label: str) -> Markup | None:
    """HM in and out of domain with its interval, and luck beside it, against the rollouts."""
    if rollouts.is_empty():
        return None
    rows = rollouts.with_columns(classes=pl.format("{} classes a group", "classes_per_group"))
    names = rows.sort("classes_per_group")["classes"].unique(maintain_order=True).to_list()
    lowest = min(rows.select(pl.min_horizontal(pl.col("^.*_hm(_low)?$").min())).item(), 1.0)
    panels = [
        _panel(rows, names, f"{domain}_hm", f"HM {words}", alt.Scale(domain=[lowest, 1], nice=True))
        for domain, words in _DOMAINS.items()
    ]
    share = alt.Scale(domain=[0, 1])
    luck = _panel(rows, names, "lucky_share", "groups won by luck", share)
    return svg(alt.hconcat(*panels, luck, spacing=26), label, id_prefix="rollouts")


def rollouts_findings(rollouts: pl.DataFrame) -> list[str]:
    """For each number of classes a group: luck, and where HM falls as it rises."""
    if missing := [name for name in COLUMNS if name not in rollouts.columns]:
        raise DataError(f"the table of rollouts lacks {', '.join(missing)}: make it again")
    parts = rollouts.sort(COLUMNS[:2]).partition_by("classes_per_group", maintain_order=True)
    return [" ".join(_sentences(part)) for part in parts if part.height > 1]


def _sentences(part: pl.DataFrame) -> Iterator[str]:
    few, many = part.row(0, named=True), part.row(-1, named=True)
    yield (
        f"With {few['classes_per_group']} classes a group, {few['lucky_share']:.0%} of the groups "
        f"are won by luck at {few['num_generations']} rollouts and {many['lucky_share']:.0%} at "
        f"{many['num_generations']}."
    )
    for domain, words in _DOMAINS.items():
        name = f"{domain}_hm"
        ends = [stated(row[name], row[f"{name}_low"], row[f"{name}_high"]) for row in (few, many)]
        yield f"HM {words} {_moves(few, many, name)}: {' and '.join(ends)}{_turn(part, name)}."
    wrong = [row["out_wrong_ambiguous"] for row in (few, many)]
    if None not in wrong:
        yield (
            f"Of the images out of domain without a visible marking, {wrong[0]:.0%} and "
            f"{wrong[1]:.0%} are answered wrongly."
        )
    if failed := part.select(pl.sum_horizontal("in_failed", "out_failed").sum()).item():
        samples = part.select(pl.sum_horizontal("in_samples", "out_samples").sum()).item()
        yield f"The judge failed on {failed} of {samples} samples, which count nowhere."


def _turn(part: pl.DataFrame, name: str) -> str:
    """Where HM is highest, and where it is first below that, as far as intervals tell."""
    if (ranked := part.drop_nulls(name).sort(name, descending=True)).is_empty():
        return ""
    best = ranked.row(0, named=True)
    said = f", highest at {best['num_generations']} rollouts"
    after = pl.col("num_generations") > best["num_generations"]
    below = part.filter(after, pl.col(f"{name}_high") < best[f"{name}_low"]).head(1)
    for lower in below.rows(named=True):
        said += f" and first below that at {lower['num_generations']}"
        said += f", with {lower['lucky_share']:.0%} of the groups won by luck"
    return said


def _moves(few: dict, many: dict, name: str) -> str:
    """Only intervals that lie apart tell a direction."""
    if any(row[f"{name}_{end}"] is None for row in (few, many) for end in ("low", "high")):
        return "cannot be compared between the two"
    if many[f"{name}_high"] < few[f"{name}_low"]:
        return "falls"
    if many[f"{name}_low"] > few[f"{name}_high"]:
        return "rises"
    return "is level, within the intervals"


def _panel(
    rows: pl.DataFrame, names: list[str], value: str, title: str, scale: alt.Scale
) -> alt.LayerChart:
    tried = rows["num_generations"].unique().sort().to_list()
    base = alt.Chart(rows.drop_nulls(value)).encode(
        x=alt.X("num_generations:Q", title="rollouts per image", scale=alt.Scale(zero=False),
                axis=alt.Axis(values=tried, grid=False)),
        y=alt.Y(f"{value}:Q", title=title, scale=scale,
                axis=alt.Axis(format="%" if value == "lucky_share" else "~g")),
        color=alt.Color("classes:N", title=None, scale=alt.Scale(domain=names, range=RUN_COLORS)),
    )  # fmt: skip
    shapes = alt.Scale(domain=names, range=RUN_SHAPES)
    points = base.mark_point(size=60, filled=True, opacity=1)
    layers = base.mark_line(strokeWidth=1.6) + points.encode(
        shape=alt.Shape("classes:N", title=None, scale=shapes)
    )
    if f"{value}_low" in rows.columns:
        bars = base.transform_filter(f"isValid(datum.{value}_low)").mark_rule(strokeWidth=1.6)
        ends = (alt.Y(f"{value}_low:Q", title=title, scale=scale), f"{value}_high:Q")
        layers = bars.encode(y=ends[0], y2=ends[1]) + layers
    return layers.properties(width=205, height=210)
