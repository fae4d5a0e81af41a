"""The report's tables as data frames: main, by dataset, all counts, and what `dvc plots` draws.

`scores` is the table of the score stage: one row per run and dataset or group, in the order of
the report, with counts and the three metrics (null where undefined).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import yaml

from speciarl.files import atomic_write
from speciarl.verdicts import COUNTS

METRICS = ("specificity", "correctness", "hm")
# What a sample ends as; these add up to `samples`. `undecided` is a part of `wrong`.
OUTCOMES = (*COUNTS, "unparsable", "failed")


@dataclass(frozen=True)
class Published:
    """Metrics of the paper by run, group and name of the metric; absent where not stated."""

    source: str
    method: str
    baselines: tuple[str, ...]
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
    content = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text())
    return Published(**{**content, "baselines": tuple(content["baselines"])})


def names_of(scores: pl.DataFrame, level: str) -> list[str]:
    """Datasets (`level` "dataset") or groups ("group"), in the order of the report."""
    return scores.filter(level=level)["name"].unique(maintain_order=True).to_list()


def score_of(scores: pl.DataFrame, run: str, level: str, name: str) -> dict | None:
    """The row of one run on one dataset or group; None where there is none."""
    found = scores.filter(run=run, level=level, name=name)
    return found.row(0, named=True) if found.height else None


def main_table(scores: pl.DataFrame, runs: Sequence[str], published: Published) -> pl.DataFrame:
    """One row per run; per group its metrics, then the published ones that exist.

    Returns:
        run, then per group "GROUP specificity", "GROUP correctness", "GROUP hm" and, as far as
        the paper states them for any run, "GROUP published specificity" and so on.
    """
    rows = []
    for run in runs:
        row: dict[str, str | float | None] = {"run": run}
        for group in names_of(scores, "group"):
            own = score_of(scores, run, "group", group) or {}
            row |= {f"{group} {name}": own.get(name) for name in METRICS}
            row |= {
                f"{group} published {name}": published.metric(run, group, name)
                for name in METRICS
                if published.states(group, name)
            }
        rows.append(row)
    columns = ["run", *(c for c in rows[0] if c != "run")] if rows else ["run"]
    return pl.DataFrame(rows, schema={c: pl.String if c == "run" else pl.Float64 for c in columns})


def dataset_table(scores: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """dataset, run, samples, specificity, correctness, hm: by dataset, then by run."""
    return _ordered(scores.filter(level="dataset"), runs).select(
        pl.col("name").alias("dataset"), "run", "samples", *METRICS
    )


def count_table(scores: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """level, name, run, samples, the eight outcomes and undecided: groups, then datasets."""
    parts = [_ordered(scores.filter(level=level), runs) for level in ("group", "dataset")]
    return pl.concat(parts).select("level", "name", "run", "samples", *OUTCOMES, "undecided")


def training_curves(training: Mapping[str, pl.DataFrame], runs: Sequence[str]) -> pl.DataFrame:
    """run, step, reward, and per outcome its share of the step's rollouts; runs with rewards."""
    parts = [training[run].with_columns(run=pl.lit(run)) for run in runs if run in training]
    schema = {"run": pl.String, "step": pl.Int64, "reward": pl.Float64}
    schema |= dict.fromkeys(OUTCOMES, pl.Int64)
    rows = pl.concat([pl.DataFrame(schema=schema), *(part.select(*schema) for part in parts)])
    return rows.filter(pl.col("reward").is_not_null()).with_columns(
        (pl.col(OUTCOMES) / pl.sum_horizontal(OUTCOMES)).fill_nan(None)
    )


def outcome_shares(scores: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """run, group, and per outcome its share of the group's samples."""
    groups = _ordered(scores.filter(level="group"), runs)
    return groups.select("run", pl.col("name").alias("group"), pl.col(OUTCOMES) / pl.col("samples"))


def write_tables(tables: Mapping[str, pl.DataFrame], into: Path) -> None:
    """Write each as INTO/NAME.csv, numbers with four decimals, nothing where undefined."""
    for name, table in tables.items():
        with atomic_write(into / f"{name}.csv") as partial:
            table.write_csv(partial, float_precision=4)


def _ordered(rows: pl.DataFrame, runs: Sequence[str]) -> pl.DataFrame:
    """Rows of these runs, by name in the order of appearance, then by run as given."""
    parts = [
        rows.filter(name=name, run=run)
        for name in rows["name"].unique(maintain_order=True)
        for run in runs
    ]
    return pl.concat([rows.clear(), *parts])
