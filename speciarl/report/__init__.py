"""The report: tables, charts and one self-contained page, from scores and training metrics."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

from speciarl.files import atomic_write
from speciarl.report.tables import (
    Published,
    count_table,
    dataset_table,
    load_published,
    main_table,
    outcome_shares,
    over_seeds,
    seed_table,
    training_curves,
    write_tables,
)

_PACKAGES = ("speciarl", "torch", "transformers", "trl", "peft", "duckdb", "polars", "altair")


def build_report(
    scores: pl.DataFrame,
    differences: pl.DataFrame,
    training: Mapping[str, pl.DataFrame],
    predictions: Mapping[str, pl.DataFrame],
    *,
    runs: Sequence[str],
    weights: Mapping[str, float],
    provenance: Mapping[str, object],
    seen: Mapping[str, Sequence[str]],
    miniature: Sequence[str],
    into: Path,
    judged: Sequence[pl.DataFrame] = (),
    published: Published | None = None,
    rollouts: pl.DataFrame | None = None,
    ablations: pl.DataFrame | None = None,
) -> None:
    """Write report.html, tables/{main,datasets,counts,seeds}.csv and plots/{training,levels}.csv.

    Args:
        scores: as the score stage writes them.
        differences: likewise.
        training: metrics by run; runs without training may be empty or absent.
        predictions: what each run answered in training, as `audit.PREDICTIONS`.
        runs: rows of the tables, in their order.
        weights: specificity by verdict, named as the columns of counts.
        provenance: the parameters, plain values.
        seen: the groups that each run was trained on images of (`findings.seen_groups`).
        miniature: what comes from the miniature, "images" or "policy": the page says so.
        into: folder of the results.
        judged: the files of the `judge` stage, where it asked another verifier than training.
        published: the figures to stand beside; those of the paper where not given.
        rollouts: as `rollouts.COLUMNS`, for a section of its own.
        ablations: as `studies.ablations` gives them, likewise.
    """
    # Altair takes a second to import, which whoever wants only the tables need not wait for.
    from speciarl.report.page import Evidence, render_page

    published = published or load_published()
    pooled = over_seeds(scores)
    tables = {
        "main": main_table(pooled, runs, published),
        "datasets": dataset_table(pooled, runs),
        "counts": count_table(pooled, runs),
        "seeds": seed_table(scores, runs),
    }
    write_tables(tables, into / "tables")
    plots = {"training": training_curves(training, runs), "levels": outcome_shares(pooled, runs)}
    write_tables(plots, into / "plots")
    page = render_page(
        "SpeciaRL: results",
        Evidence(
            scores, differences, training, predictions, judged, runs, weights, published, seen,
            rollouts, ablations,
        ),
        {"Versions": _versions(), "Parameters": dict(provenance)},
        miniature=miniature,
    )  # fmt: skip
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
