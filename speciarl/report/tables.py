"""The report's tables as data frames: main, by dataset, all counts, and what `dvc plots` draws.

`scores` are the rows over seeds of the score stage (`over_seeds`): one per run and dataset, group
or all unseen datasets, in the order of the report, with counts (sums over seeds), the three metrics
(means over seeds, null where undefined), their 95 % intervals and the spread between seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import polars as pl
import yaml

from speciarl.files import atomic_write, write_csv
from speciarl.verdicts import OUTCOMES

METRICS = ("specificity", "correctness", "hm")
AREAS = ("group", "overall")
DOUBT = ("hm_low", "hm_high", "hm_spread")
# What training tells of the policy itself, a mean per step.
MOVES = ("kl", "clip_ratio", "completion_length")


@dataclass(frozen=True)
class Published:
    """Metrics of the paper by run, group and name of the metric; absent where not stated."""

    source: str
    method: str
    baselines: Sequence[str]
    bound: str
    groups: Mapping[str, Sequence[str]]
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]]

    def metric(self, run: str, group: str, name: str) -> float | None:
        return self.metrics.get(run, {}).get(group, {}).get(name)

    def of(self, groups: Mapping[str, Sequence[str]]) -> "Published":
        """Only what can stand beside these groups: those that hold the paper's datasets."""
        same = {g for g, names in self.groups.items() if set(groups.get(g, ())) == set(names)}
        metrics = {
            run: {group: found for group, found in by_group.items() if group in same}
            for run, by_group in self.metrics.items()
        }
        return replace(self, metrics=metrics)

    def states(self, group: str, name: str) -> bool:
        """Whether the paper gives this metric of this group for any run."""
        return any(self.metric(run, group, name) is not None for run in self.metrics)


def load_published() -> Published:
    """The paper's metrics as kept beside this module."""
    return Published(**yaml.safe_load(Path(__file__).with_name("published.yaml").read_bytes()))


def over_seeds(scores: pl.DataFrame) -> pl.DataFrame:
    """The rows over seeds of what the score stage wrote, with the number of `seeds` of each run."""
    seeds = scores.group_by("run").agg(seeds=pl.col("seed").drop_nulls().n_unique())
    pooled = scores.filter(pl.col("seed").is_null()).drop("seed")
    return pooled.join(seeds, on="run", maintain_order="left")


def names_of(scores: pl.DataFrame, *levels: str) -> list[str]:
    """What has scores of these levels (dataset, group, overall), in the order of the report."""
    chosen = scores.filter(pl.col("level").is_in(levels))
    return chosen["name"].unique(maintain_order=True).to_list()


def score_of(scores: pl.DataFrame, run: str, *levels: str, name: str) -> dict | None:
    """The row of one run on what has that name at one of the levels; None where there is none."""
    found = scores.filter(pl.col("level").is_in(levels), run=run, name=name)
    return found.row(0, named=True) if found.height else None


def main_table(scores: pl.DataFrame, runs: Sequence[str], published: Published) -> pl.DataFrame:
    """One row per run; per group, and for all unseen datasets, its metrics.

    Returns:
        run, seeds (how many), then per group "GROUP specificity", "GROUP correctness", "GROUP hm",
        "GROUP hm low" and "GROUP hm high" (the 95 % interval), "GROUP hm spread" (between seeds)
        and, as far as the paper states them for any run, "GROUP published specificity" and so on.
    """
    rows = []
    for run in runs:
        row: dict[str, str | float | None] = {"run": run, "seeds": None}
        for group in names_of(scores, *AREAS):
            own = score_of(scores, run, *AREAS, name=group) or {}
            row["seeds"] = own.get("seeds", row["seeds"])
            row |= {f"{group} {n.replace('_', ' ')}": own.get(n) for n in (*METRICS, *DOUBT)}
            row |= {
                f"{group} published {name}": published.metric(run, group, name)
                for name in METRICS
                if published.states(group, name)
            }
        rows.append(row)
    kinds = {"run": pl.String, "seeds": pl.Int64}
    columns = rows[0] if rows else kinds
    return pl.DataFrame(rows, schema={c: kinds.get(c, pl.Float64) for c in columns})


def dataset_table(scores: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """dataset, run, seeds, samples (of all seeds), METRICS, DOUBT: by dataset, then by run."""
    return _ordered(scores.filter(level="dataset"), runs).select(
        pl.col("name").alias("dataset"), "run", "seeds", "samples", *METRICS, *DOUBT
    )


def seed_table(scores: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """level, name, run, seed, samples, METRICS: one row per seed, of what the score stage wrote."""
    rows = _ordered(scores.drop_nulls("seed"), runs)
    return rows.select("level", "name", "run", "seed", "samples", *METRICS)


def count_table(scores: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """level, name, run, samples, the eight outcomes and undecided: groups, then datasets."""
    parts = [_ordered(scores.filter(level=level), runs) for level in ("group", "dataset")]
    return pl.concat(parts).select("level", "name", "run", "samples", *OUTCOMES, "undecided")


def training_curves(training: Mapping[str, pl.DataFrame], runs: Sequence[str]) -> pl.DataFrame:
    """run, step, means over seeds, and per outcome its share of the rollouts of all seeds.

    Means are of the reward, of `MOVES`, and of the lookups found and not. Runs without rewards are
    left out.
    """
    means, lookups = ("reward", *MOVES), ("hits", "misses")
    schema = {"run": pl.String, "step": pl.Int64, **dict.fromkeys(means, pl.Float64)}
    schema |= dict.fromkeys((*lookups, *OUTCOMES), pl.Int64)
    parts = [training[run].with_columns(run=pl.lit(run)) for run in runs if run in training]
    rows = pl.concat([pl.DataFrame(schema=schema), *(part.select(*schema) for part in parts)])
    return (
        rows.drop_nulls("reward")
        .group_by("run", "step", maintain_order=True)
        .agg(pl.col(*means, *lookups).mean(), pl.col(OUTCOMES).sum())
        .with_columns((pl.col(OUTCOMES) / pl.sum_horizontal(OUTCOMES)).fill_nan(None))
    )


def outcome_shares(scores: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """run, group, and per outcome its share of the group's samples."""
    groups = _ordered(scores.filter(level="group"), runs)
    return groups.select("run", pl.col("name").alias("group"), pl.col(OUTCOMES) / pl.col("samples"))


def best_of_table(curves: pl.DataFrame, runs: Sequence[str]) -> list[list[dict]] | None:
    """Rows of `evaluation.best_of` by run, seed and area: every k that doubles, and the last."""
    last = pl.col("k") == pl.col("k").max().over("run", "seed")
    doubled = [2**n for n in range(31)]
    chosen = pl.col("level").is_in(AREAS) & pl.col("run").is_in(list(runs))
    rows = curves.filter(chosen & (last | pl.col("k").is_in(doubled)))
    parts = rows.partition_by("run", "seed", "name", maintain_order=True)
    return [part.rows(named=True) for part in parts] or None


def measure_table(measures: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """name, measure, at, and a column for each run: of groups, with what is absent left out."""
    rows = measures.filter(pl.col("level").is_in(AREAS), pl.col("run").is_in(list(runs)))
    areas = rows["name"].unique(maintain_order=True).to_list()
    wide = rows.pivot("run", index=["name", "measure", "at"], values="value", maintain_order=True)
    parts = [wide.filter(name=area) for area in areas]
    return pl.concat([wide.clear(), *parts]).select("name", "measure", "at", *runs)


def write_tables(tables: Mapping[str, pl.DataFrame], into: Path) -> None:
    """Write each as INTO/NAME.csv, numbers with four decimals, nothing where undefined."""
    for name, table in tables.items():
        write_csv(table, into / f"{name}.csv")


def write_latex(main: pl.DataFrame, areas: Sequence[str], path: Path) -> None:
    r"""Write the main table for a paper: per area Specificity, Correctness, HM and its interval.

    It needs \usepackage{booktabs, multirow}; an undefined metric is a dash.
    """
    short = {"specificity": "Spec.", "correctness": "Corr.", "hm": "HM"}
    columns = {("", "run"): main["run"].to_list()} | {
        (area, title): [_cell(row, f"{area} {metric}") for row in main.rows(named=True)]
        for area in areas
        for metric, title in short.items()
    }
    style = pd.DataFrame(columns).style.hide(axis="index")
    style = style.format(escape="latex").format_index(escape="latex", axis="columns")
    text = style.to_latex(
        hrules=True, multicol_align="c", column_format="l" + "r" * (len(columns) - 1)
    )
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _cell(row: Mapping[str, float | None], name: str) -> str:
    metric, low, high = (row.get(f"{name}{end}") for end in ("", " low", " high"))
    if metric is None:
        return "--"
    return f"{metric:.3f}" if low is None else f"{metric:.3f} [{low:.3f}, {high:.3f}]"


def _ordered(rows: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """Rows of these runs, by name in the order of appearance, then by run as given."""
    parts = [
        rows.filter(name=name, run=run)
        for name in rows["name"].unique(maintain_order=True)
        for run in runs
    ]
    return pl.concat([rows.clear(), *parts])
