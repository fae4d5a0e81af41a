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
- `text_inclusion`, `llm_inclusion`, `semantic_similarity`, `concept_similarity`: of Conti et al.
  (lmms-owc), over all images; the last two need an embedding model, the second a language model.

`images` are those in the denominator, `dropped` those of which nothing is known to say whether they
belong there, since the judge failed on them (or on the base policy's samples, or the language model
did).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from speciarl.evaluation.intervals import (
    LEVEL,
    REPLICATES,
    by_image,
    drawn_sums,
    seed_weights,
)
from speciarl.evaluation.metrics import CORRECT, FAILED, STEP
from speciarl.evaluation.scores import Area
from speciarl.verdicts import Pair, Verdict

SCHEMA = {
    **dict.fromkeys(("measure", "at", "run", "level", "name"), pl.String()),
    **dict.fromkeys(("images", "dropped"), pl.Int64()),
    **dict.fromkeys(("value", "low", "high"), pl.Float64()), "absent": pl.String(),
}  # fmt: skip
WEIGHTS = [i / 10 for i in range(11)]
SIMILARITIES = ("semantic_similarity", "concept_similarity")
NO_LLM = "measures.model names no language model"
NO_EMBEDDINGS = "measures.embedding_model names no directory of a sentence-embedding model"
NO_BASE = "no run draws several samples of the base policy (method: none with best_of above 1)"

_step = STEP.fill_null(-1)
_failed = pl.col("decided_by") == FAILED

Similarity = Callable[[Iterable[Pair]], Mapping[Pair, tuple[float, float]]]
"""Of class names and predictions as written: whole, and the closest of the prediction's parts."""
Inclusion = Callable[[Iterable[Pair]], Mapping[Pair, bool | None]]
"""Whether a prediction includes the class; None where the language model failed."""


class Ratio(NamedTuple):
    measure: str
    at: str
    value: pl.Expr
    """What an image adds, from 0 to 1."""
    over: str = "judged"
    """Which images are counted, one of DENOMINATORS."""


# Which images are counted, and of which that is not known.
DENOMINATORS = {
    "judged": (~_failed, _failed),
    "correct": (CORRECT, _failed),
    "knows": (~_failed & pl.col("known"), _failed | pl.col("known").is_null()),
    "does not": (~_failed & ~pl.col("known"), _failed | pl.col("known").is_null()),
    "asked": (~_failed & pl.col("included").is_not_null(), _failed | pl.col("included").is_null()),
}


def measure(
    rows: pl.DataFrame,
    areas: Sequence[Area],
    base: str | None = None,
    similarity: Similarity | None = None,
    inclusion: Inclusion | None = None,
) -> pl.DataFrame:
    """SCHEMA: a row for each measure, place, run and area; what cannot be told is a row with the
    reason in `absent`, and no value.

    Args:
        rows: as `placed` gives them.
        base: the run of which several samples of the base policy were drawn.
    """
    ratios = [*_levels(), *_stops(rows["steps"]), _text_inclusion()]
    optional: list[tuple[object, Callable[..., pl.DataFrame], list[Ratio], str]] = [
        (inclusion, _with_inclusion, [Ratio("llm_inclusion", "", pl.col("included"), "asked")],
         NO_LLM),
        (base, _with_base, _restraint(), NO_BASE),
        (similarity, _with_similarities, [Ratio(m, "", pl.col(m)) for m in SIMILARITIES],
         NO_EMBEDDINGS),
    ]  # fmt: skip
    absent: dict[str, str] = {}
    for given, add, more, why in optional:
        if given is None:
            absent |= {ratio.measure: why for ratio in more}
        else:
            rows = add(rows, given)
            ratios += more
    found = _estimates(rows, ratios, areas)
    lacking = [{"measure": name, "absent": why} for name, why in absent.items()]
    values = pl.col("value", "low", "high").fill_nan(None)
    return pl.DataFrame([*found, *lacking], schema=SCHEMA).with_columns(values)


def _levels() -> list[Ratio]:
    at_least = [Ratio("at_least", v.value, _step >= v.step) for v in Verdict if v.step]
    generic, near, *_ = (v.step for v in Verdict if v.correct)
    for weight in WEIGHTS:
        of_step = {generic: weight, near: (1 + weight) / 2}
        value = _step.replace_strict(of_step, default=1.0, return_dtype=pl.Float64)
        at_least.append(Ratio("specificity", f"{weight:.1f}", value, "correct"))
    return at_least


def _stops(steps: pl.Series) -> list[Ratio]:
    """From what is narrower than the class, over the class itself, up to the farthest ancestor."""
    found = steps.drop_nulls().unique().sort().to_list()
    ratios = [Ratio("stops", "narrower" if s < 0 else str(s), pl.col("steps") == s, "correct")
              for s in found]  # fmt: skip
    return [*ratios, Ratio("stops", "unknown", pl.col("steps").is_null(), "correct")]


def _restraint() -> list[Ratio]:
    return [
        Ratio(f"{name}_where_base", at, value, at)
        for name, value in (("specific", _step >= Verdict.SPECIFIC.step),
                            ("wrong", _step == Verdict.WRONG.step))
        for at in ("knows", "does not")
    ]  # fmt: skip


def _text_inclusion() -> Ratio:
    label, text = (pl.col(name).str.to_lowercase() for name in ("class_name", "prediction"))
    return Ratio("text_inclusion", "", text.str.contains(label, literal=True))


def _with_inclusion(rows: pl.DataFrame, inclusion: Inclusion) -> pl.DataFrame:
    """`included`: null where the language model failed; what could not be parsed includes nothing.

    Spellings of one normal form are one question, as for the judge.
    """
    key = ("class_name", "normalized")
    said = rows.drop_nulls("prediction").select(*key, "prediction")
    asked = said.unique(key, keep="first", maintain_order=True)
    found = inclusion([Pair(*row) for row in asked.iter_rows()])
    replies = [found[Pair(*names)] for names in asked.select(key).iter_rows()]
    told = asked.select(key).with_columns(included=pl.Series(replies, dtype=pl.Boolean))
    unparsable = pl.col("prediction").is_null()
    return rows.join(told, on=key, how="left", maintain_order="left").with_columns(
        included=pl.when(unparsable).then(False).otherwise("included")
    )


def _with_base(rows: pl.DataFrame, base: str) -> pl.DataFrame:
    """`known`: whether the best of the base policy's samples is specific; null without verdict."""
    known = (
        rows.filter(~_failed, run=base)
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
) -> Iterator[dict[str, str | int | float | None]]:
    """Rows in the order of ratios, areas and runs; NaN where undefined."""
    units = rows.select("run", "seed").unique(maintain_order=True)
    overs = list(dict.fromkeys(ratio.over for ratio in ratios))
    columns = [pl.when(DENOMINATORS[r.over][0]).then(r.value).otherwise(0) for r in ratios]
    columns += [DENOMINATORS[over][0] for over in overs]
    sums = {
        name: drawn_sums(_outcomes(rows.filter(dataset=name), units, columns), name)
        for area in areas if area.level == "dataset" for name in area.datasets
    }  # fmt: skip
    lost = rows.group_by("run", "dataset").agg(DENOMINATORS[o][1].sum().alias(o) for o in overs)
    dropped = {(row["run"], row["dataset"]): row for row in lost.iter_rows(named=True)}
    runs = units["run"].unique(maintain_order=True).to_list()
    seeds = {run: (units["run"] == run).to_numpy() for run in runs}
    weights = {run: seed_weights(run, int(mine.sum()), REPLICATES) for run, mine in seeds.items()}
    for place, ratio in enumerate(ratios):
        counted = len(ratios) + overs.index(ratio.over)
        for area in areas:
            added, images = (
                np.stack([sums[name][:, :, column] for name in area.datasets])
                for column in (place, counted)
            )
            with np.errstate(invalid="ignore"):  # no image is counted: undefined
                by_unit = (added / images).mean(axis=0)
            drawn = np.stack(
                [(by_unit[:, mine] * weights[run]).sum(axis=1) for run, mine in seeds.items()]
            )
            ends = np.quantile(drawn[:, 1:], LEVEL, axis=1).T
            for (run, mine), values, (low, high) in zip(seeds.items(), drawn, ends, strict=True):
                yield {
                    "measure": ratio.measure, "at": ratio.at, "run": run,
                    "level": area.level, "name": area.name,
                    "images": int(images[:, 0, mine].sum()),
                    "dropped": sum(dropped[run, name][ratio.over] for name in area.datasets),
                    "value": values[0], "low": low, "high": high,
                }  # fmt: skip


def _outcomes(rows: pl.DataFrame, units: pl.DataFrame, columns: Sequence[pl.Expr]) -> np.ndarray:
    """images x units x columns."""
    known = units.with_row_index("unit").join(rows, on=("run", "seed")).sort("unit", "sample_id")
    numbers = known.select(
        column.cast(pl.Float64).fill_null(0.0).alias(str(place))
        for place, column in enumerate(columns)
    )
    return by_image(numbers.to_numpy(), units.height)
