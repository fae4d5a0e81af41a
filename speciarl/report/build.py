"""Writes the report: the page, its tables as CSV, and what `dvc plots` draws."""

import hashlib
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from speciarl.files import atomic_write
from speciarl.report import tables
from speciarl.report.page import Evidence, render_page

_PACKAGES = ("speciarl", "torch", "transformers", "trl", "peft", "duckdb", "polars", "altair")


def build_report(evidence: Evidence, provenance: Mapping[str, object], into: Path) -> None:
    """Write report.html, tables/{main,datasets,counts,seeds,measures}.csv (measures where there are
    any), the main one as LaTeX, too, and plots/{training,levels}.csv.

    `provenance` are plain values by name: parameters, digests.
    """
    scores, runs = tables.over_seeds(evidence.scores), evidence.runs
    named = {
        "main": tables.main_table(scores, runs, evidence.published),
        "datasets": tables.dataset_table(scores, runs),
        "counts": tables.count_table(scores, runs),
        "seeds": tables.seed_table(evidence.scores, runs),
    }
    if evidence.measures is not None:
        named["measures"] = tables.measure_table(evidence.measures, runs)
    plots = {
        "training": tables.training_curves(evidence.training, runs),
        "levels": tables.outcome_shares(scores, runs),
    }
    tables.write_tables(named, into / "tables")
    tables.write_tables(plots, into / "plots")
    areas = tables.names_of(scores, *tables.AREAS)
    tables.write_latex(named["main"], areas, into / "tables" / "main.tex")
    page = render_page(evidence, {"Environment": _versions(), **provenance})
    with atomic_write(into / "report.html") as partial:
        partial.write_text(page, encoding="utf-8")


def digests(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files by path."""
    return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}


def _versions() -> dict[str, str]:
    system = f"{platform.system()} on {platform.machine()}"
    found = {"system": system, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name).partition(".dev")[0]  # or each commit had another page
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
