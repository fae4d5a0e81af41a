"""Writes the report: the page, its tables as CSV, and what `dvc plots` draws."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from speciarl.files import atomic_write
from speciarl.report import tables
from speciarl.report.page import Evidence, render_page

_PACKAGES = ("speciarl", "torch", "transformers", "trl", "peft", "duckdb", "polars", "altair")


def build_report(evidence: Evidence, provenance: Mapping[str, object], into: Path) -> None:
    """Write report.html, tables/{main,datasets,counts,seeds}.csv and plots/{training,levels}.csv.

    `provenance` are the parameters as plain values.
    """
    scores, runs = tables.over_seeds(evidence.scores), evidence.runs
    named = {
        "main": tables.main_table(scores, runs, evidence.published),
        "datasets": tables.dataset_table(scores, runs),
        "counts": tables.count_table(scores, runs),
        "seeds": tables.seed_table(evidence.scores, runs),
    }
    plots = {
        "training": tables.training_curves(evidence.training, runs),
        "levels": tables.outcome_shares(scores, runs),
    }
    tables.write_tables(named, into / "tables")
    tables.write_tables(plots, into / "plots")
    page = render_page(evidence, {"Versions": _versions(), "Parameters": dict(provenance)})
    with atomic_write(into / "report.html") as partial:
        partial.write_text(page, encoding="utf-8")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name).partition(".dev")[0]  # or each commit had another page
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
