"""What else there is to say of a run: levels without weights, other weights, restraint, words.

Every measure is a ratio of two sums over images, by dataset and seed. Its mean over the datasets
of an area and the seeds of a run, and its 95 % interval, come from the draws of `intervals`. Of
several rollouts the one with the best verdict counts.

- `at_least`, at each verdict: share of the images judged that or better.
- `specificity`, at the weight of a generic prediction from 0 to 1, the others on a line to 1 for a
  specific one; at 0.2 it is that of the authors' weights.
- `stops`, at how many steps up the tree from the class: share of the correct predictions.
- `specific_where_base`, `wrong_where_base`, at what the best of the base policy's samples "knows"
  (is specific there) or "does not": share of the images judged specific or better, or wrong. It is
  what the reward asks for: to be specific in the first case, and not to guess in the second.
- `text_inclusion`, `semantic_similarity`, `concept_similarity`: of Conti et al. (lmms-owc), over
  all images; the two similarities need an embedding model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from speciarl.evaluation.intervals import REPLICATES, SEED, drawn_sums, interval, seed_weights
from speciarl.evaluation.metrics import FAILED
from speciarl.evaluation.scores import Area
from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import Pair, Verdict
from speciarl.verifiers.taxonomy import Taxonomic

SCHEMA = {
    **dict.fromkeys(("measure", "at", "run", "level", "name"), pl.String()), "images": pl.Int64(),
    **dict.fromkeys(("value", "low", "high"), pl.Float64()), "absent": pl.String(),
}  # fmt: skip
WEIGHTS = [i / 10 for i in range(11)]
SIMILARITIES = ("semantic_similarity", "concept_similarity")
NO_LLM = "no language model is asked; text_inclusion and the judge's verdicts need none"
NO_EMBEDDINGS = "measures.embedding_model names no directory of a sentence-embedding model"
NO_BASE = "no run draws several samples of the base policy (method: none with best_of above 1)"

_IMAGE = ("run", "seed", "dataset", "sample_id")
_step = pl.col("verdict").to_physical().cast(pl.Int64).fill_null(-1)
_judged = pl.col("decided_by") != FAILED
_correct = _step >= Verdict.GENERIC.step

Similarity = Callable[[Iterable[Pair]], Mapping[Pair, tuple[float, float]]]
"""Of class names and predictions as written: whole, and the closest of the prediction's parts."""


class Ratio(NamedTuple):
    measure: str
    at: str
    value: pl.Expr
    """What an image adds, from 0 to 1."""
    images: pl.Expr
    """Which images are counted."""


def measure(
    judged: pl.LazyFrame,
    best: pl.DataFrame,
    areas: Sequence[Area],
    taxonomy: Taxonomy,
    base: str | None = None,
    similarity: Similarity | None = None,
) -> pl.DataFrame:
    """SCHEMA: a row for each measure, place, run and area; what cannot be told is a row with the
    reason in `absent`, and no value.

    Args:
        judged: as `scores.read_judged` gives it.
        best: as `scores.best_of_all` does.
        base: the run of which several samples of the base policy were drawn.
    """
    said = judged.select(*_IMAGE, "rollout", "class_name", "prediction", "normalized")
    told = best.lazy().join(said, on=(*_IMAGE, "rollout"), how="left", maintain_order="left")
    rows = _with_steps(told.collect(), taxonomy)
    absent = {"llm_inclusion": NO_LLM}
    ratios = [*_levels(), *_stops(rows["steps"]), _text_inclusion()]
    if base is None:
        absent |= dict.fromkeys(("specific_where_base", "wrong_where_base"), NO_BASE)
    else:
        rows = _with_base(rows, base)
        ratios += _restraint()
    if similarity is None:
        absent |= dict.fromkeys(SIMILARITIES, NO_EMBEDDINGS)
    else:
        rows = _with_similarities(rows, similarity)
        ratios += [Ratio(m, "", pl.col(m), _judged) for m in SIMILARITIES]
    found = _estimates(rows, ratios, areas)
    lacking = [{"measure": name, "absent": why} for name, why in absent.items()]
    return pl.DataFrame([*found, *lacking], schema=SCHEMA)


def _levels() -> list[Ratio]:
    at_least = [Ratio("at_least", v.value, _step >= v.step, _judged) for v in Verdict if v.step]
    generic, near, *_ = (v.step for v in Verdict if v.correct)
    for weight in WEIGHTS:
        of_step = {generic: weight, near: (1 + weight) / 2}
        value = _step.replace_strict(of_step, default=1.0, return_dtype=pl.Float64)
        at_least.append(Ratio("specificity", f"{weight:.1f}", value, _correct))
    return at_least


def _stops(steps: pl.Series) -> list[Ratio]:
    """From what is narrower than the class, over the class itself, up to the farthest ancestor."""
    found = steps.drop_nulls().unique().sort().to_list()
    ratios = [Ratio("stops", "narrower" if s < 0 else str(s), pl.col("steps") == s, _correct)
              for s in found]  # fmt: skip
    return [*ratios, Ratio("stops", "unknown", pl.col("steps").is_null(), _correct)]


def _restraint() -> list[Ratio]:
    parts = {"knows": pl.col("known"), "does not": ~pl.col("known")}
    return [
        Ratio(f"{name}_where_base", at, value, _judged & images.fill_null(False))
        for name, value in (("specific", _step >= Verdict.SPECIFIC.step),
                            ("wrong", _step == Verdict.WRONG.step))
        for at, images in parts.items()
    ]  # fmt: skip


def _text_inclusion() -> Ratio:
    label, text = (pl.col(name).str.to_lowercase() for name in ("class_name", "prediction"))
    return Ratio("text_inclusion", "", text.str.contains(label, literal=True), _judged)


def _with_steps(rows: pl.DataFrame, taxonomy: Taxonomy) -> pl.DataFrame:
    """`steps` of each correct prediction up from its class, -1 for what is narrower; null where the
    taxonomy knows of no such relation."""
    key = ("dataset", "class_name", "normalized")
    told = Taxonomic(taxonomy)
    correct = rows.filter(_correct).select(key).unique(maintain_order=True)
    steps = []
    for dataset, class_name, said in correct.iter_rows():
        verdict, path, _ = told.relation(Pair(class_name, said), dataset)
        known = verdict is not None and verdict.correct
        narrower = verdict is Verdict.MORE_SPECIFIC
        steps.append((-1 if narrower else len(path) - 1) if known else None)
    found = correct.with_columns(steps=pl.Series(steps, dtype=pl.Int64))
    return rows.join(found, on=key, how="left", maintain_order="left")


def _with_base(rows: pl.DataFrame, base: str) -> pl.DataFrame:
    """`known`: whether the best of the base policy's samples is specific; null without verdict."""
    known = (
        rows.filter(_judged, run=base)
        .group_by("dataset", "sample_id")
        .agg(known=(_step >= Verdict.SPECIFIC.step).any())
    )
    return rows.join(known, on=("dataset", "sample_id"), how="left", maintain_order="left")


def _with_similarities(rows: pl.DataFrame, similarity: Similarity) -> pl.DataFrame:
    key = ("class_name", "prediction")
    pairs = rows.drop_nulls("prediction").select(key).unique(maintain_order=True)
    found = similarity([Pair(*row) for row in pairs.iter_rows()])
    values = [(*pair, *cosines) for pair, cosines in found.items()]
    schema = dict.fromkeys(key, pl.String) | dict.fromkeys(SIMILARITIES, pl.Float64)
    columns = pl.DataFrame(values, schema, orient="row")
    return rows.join(columns, on=key, how="left", maintain_order="left")


def _estimates(
    rows: pl.DataFrame, ratios: Sequence[Ratio], areas: Sequence[Area]
) -> Iterable[dict[str, str | int | float | None]]:
    """Rows in the order of ratios, areas and runs."""
    rng = np.random.default_rng(SEED)
    units = rows.select("run", "seed").unique(maintain_order=True)
    sums = {
        name: drawn_sums(_outcomes(rows.filter(dataset=name), units, ratios), REPLICATES, rng)
        for area in areas if area.level == "dataset" for name in area.datasets
    }  # fmt: skip
    for place, ratio in enumerate(ratios):
        for area in areas:
            parts = np.stack([sums[name][:, :, place] for name in area.datasets])
            with np.errstate(invalid="ignore"):  # no image is counted: undefined
                by_unit = (parts[..., 0] / parts[..., 1]).mean(axis=0)
            for run in units["run"].unique(maintain_order=True):
                chosen = (units["run"] == run).to_numpy()
                weights = seed_weights(run, int(chosen.sum()), REPLICATES)
                values = (by_unit[:, chosen] * weights).sum(axis=1)
                low, high = interval(values[1:])
                yield {
                    "measure": ratio.measure, "at": ratio.at, "run": run,
                    "level": area.level, "name": area.name,
                    "images": int(parts[:, 0, chosen, 1].sum()),
                    "value": None if np.isnan(values[0]) else float(values[0]),
                    "low": low, "high": high,
                }  # fmt: skip


def _outcomes(rows: pl.DataFrame, units: pl.DataFrame, ratios: Sequence[Ratio]) -> np.ndarray:
    """images x units x ratios x (what is added, whether it is counted)."""
    known = units.with_row_index("unit").join(rows, on=("run", "seed")).sort("unit", "sample_id")
    columns = [
        column.cast(pl.Float64).fill_null(0.0).alias(f"{place} {part}")
        for place, ratio in enumerate(ratios)
        for part, column in (("value", pl.when(ratio.images).then(ratio.value)),
                             ("images", ratio.images))
    ]  # fmt: skip
    by_unit = known.select(columns).to_numpy().reshape(units.height, -1, len(ratios), 2)
    return by_unit.transpose(1, 0, 2, 3)
