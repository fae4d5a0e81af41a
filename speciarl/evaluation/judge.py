"""Verdicts for predictions, through the cache."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from speciarl.answers import TAGS, normalize, unwrap
from speciarl.config import Run
from speciarl.errors import DataError
from speciarl.evaluation.metrics import LADDER
from speciarl.files import atomic_directory, read_foreign_parquet, write_parquet
from speciarl.verdicts import Pair, reason, require_few_failures
from speciarl.verifiers.cached import CachedVerifier

log = logging.getLogger(__name__)


def judge_predictions(
    predictions: pl.DataFrame, source: CachedVerifier
) -> tuple[pl.DataFrame, str]:
    """Add `normalized`, `verdict`, `decided_by`, `verifier` and, of `completion`, `several_tagged`.

    The completion is left out. With class and verifier the normalized prediction names a row of the
    store. What was looked up and asked is one row of the store's `lookups`.

    A row without a prediction gets no verdict and `unparsable`; one that the verifier failed on, or
    whose image could not be shown, no verdict and `failed`.

    Returns:
        The rows, and the reason of one of the failures.
    """
    said = _said(predictions)
    asked = (
        said.drop_nulls("prediction")
        .group_by("class_name", "normalized", maintain_order=True)
        .agg(pl.col("written").first(), pl.col("row").list.len().sum())
    )
    judged, counts = source.judge({Pair(*row[:3]): row[3] for row in asked.iter_rows()})
    source.cache.note_lookup(**asdict(counts))
    source.cache.flush()
    verdicts = asked.select(
        "class_name",
        "normalized",
        verdict=pl.Series([j.verdict and j.verdict.value for j in judged.values()], dtype=LADDER),
        decided_by=pl.Series(
            [j.decided_by if j.verdict else "failed" for j in judged.values()], dtype=pl.String
        ),
    )
    several = [pl.col("completion").str.contains(f"(?s){tag}.*{tag}") for tag in TAGS]
    not_shown = predictions["completion"].is_null()
    added = (
        said.join(verdicts, on=("class_name", "normalized"), how="left")
        .select(
            "row",
            "normalized",
            "verdict",
            decided_by=pl.when(pl.col("prediction").is_null())
            .then(pl.lit("unparsable"))
            .otherwise("decided_by"),
            verifier=pl.lit(source.cache.verifier),
        )
        .explode("row")
        .sort("row")
        .drop("row")
        .with_columns(decided_by=pl.when(not_shown).then(pl.lit("failed")).otherwise("decided_by"))
    )
    tagged = predictions.select(several_tagged=pl.all_horizontal(several).fill_null(False))
    rows = pl.concat([predictions.drop("completion"), added, tagged], how="horizontal")
    return rows, reason(judged.values())


def _said(predictions: pl.DataFrame) -> pl.DataFrame:
    """class_name, prediction, row, normalized, written: distinct, each with all of its rows.

    `written` is null where it says no more than the normal form.
    """
    distinct = (
        predictions.select("class_name", "prediction")
        .with_row_index("row")
        .group_by("class_name", "prediction", maintain_order=True)
        .agg("row")
    )
    texts = distinct["prediction"].drop_nulls().unique().to_list()
    forms = [(text, form, None if (one := unwrap(text)) == form else one)
             for text, form in zip(texts, map(normalize, texts), strict=True)]  # fmt: skip
    schema = dict.fromkeys(("prediction", "normalized", "written"), pl.String)
    read = pl.DataFrame(forms, schema, orient="row")
    return distinct.join(read, on="prediction", how="left", maintain_order="left")


def check_predictions(predictions: Path, run: Run, manifests: Sequence[Path]) -> None:
    """See that a run's predictions are those of every test image of the manifests, and no others.

    Raises:
        DataError: a seed's file of a dataset is missing or superfluous, or holds other rows.
    """
    expected = {f"{seed}/{manifest.name}": manifest for seed in run.seeds for manifest in manifests}
    found = {str(path.relative_to(predictions)) for path in predictions.glob("*/*.parquet")}
    for name in sorted(found ^ set(expected)):
        what = "lacks" if name in expected else "has, of other parameters,"
        raise DataError(f"{predictions} {what} {name}: predict the run again")
    rollouts = pl.DataFrame({"rollout": range(run.best_of)}, {"rollout": pl.Int32})
    for name, manifest in expected.items():
        test = pl.read_parquet(manifest).filter(split="test").select("sample_id", "class_name")
        due = test.join(rollouts, how="cross")
        given = read_foreign_parquet(predictions / name, due.columns)
        lacking = due.join(given, on=due.columns, how="anti").height
        if lacking or given.height != due.height:
            raise DataError(
                f"{predictions / name} has {given.height} rows and lacks {lacking} of the "
                f"{due.height} that {manifest} asks for: predict the run again"
            )


def judge_folder(
    predictions: Path, into: Path, sources: Mapping[str, CachedVerifier], max_failures: float
) -> None:
    """Judge every file of a run's predictions (SEED/DATASET.parquet) into one of the same name.

    Args:
        sources: by dataset.

    Raises:
        VerifierError: a larger share than `max_failures` of a file's predictions has no verdict;
            what was decided stays in the store.
    """
    with atomic_directory(into) as folder:
        for path in sorted(predictions.glob("*/*.parquet")):
            given = read_foreign_parquet(path)
            judged, why = judge_predictions(given, sources[path.stem])
            unseen = given["completion"].null_count()  # `evaluation.max_failures` has let them pass
            failed = judged.filter(decided_by="failed").height - unseen
            what = f"predictions of {path}"
            require_few_failures(failed, judged.height, what, max_failures, why)
            counts = judged["decided_by"].value_counts(sort=True).rows()
            log.info("%s: %d predictions, decided by %s", path.name, judged.height, dict(counts))
            write_parquet(judged, folder / path.relative_to(predictions))
