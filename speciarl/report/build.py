"""Writes the report: the page, its tables as CSV, and what `dvc plots` draws."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from speciarl.files import atomic_write
from speciarl.report.page import Evidence, render_page
from speciarl.report.tables import (
    count_table,
    dataset_table,
    main_table,
    outcome_shares,
    over_seeds,
    seed_table,
    training_curves,
    write_tables,
)

_PACKAGES = ("speciarl", "torch", "transformers", "trl", "peft", "duckdb", "polars", "altair")


def build_report(evidence: Evidence, provenance: Mapping[str, object], into: Path) -> None:
    """Write report.html, tables/{main,datasets,counts,seeds}.csv and plots/{training,levels}.csv.

    `provenance` are the parameters as plain values.
    """
    scores, runs = over_seeds(evidence.scores), evidence.runs
    tables = {
        "main": main_table(scores, runs, evidence.published),
        "datasets": dataset_table(scores, runs),
        "counts": count_table(scores, runs),
        "seeds": seed_table(evidence.scores, runs),
    }
    plots = {
        "training": training_curves(evidence.training, runs),
        "levels": outcome_shares(scores, runs),
    }
    write_tables(tables, into / "tables")
    write_tables(plots, into / "plots")
    page = render_page(evidence, {"Versions": _versions(), "Parameters": dict(provenance)})
    with atomic_write(into / "report.html") as partial:
        partial.write_text(page, encoding="utf-8")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
