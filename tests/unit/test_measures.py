"""Measures beside the metrics: by hand, against the scores, and again in SQL."""

from pathlib import Path

import duckdb
import polars as pl
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from speciarl.config import load
from speciarl.errors import ConfigError
from speciarl.evaluation.intervals import Replicates
from speciarl.evaluation.measures import (
    NO_BASE,
    NO_EMBEDDINGS,
    NO_LLM,
    SCHEMA,
    SIMILARITIES,
    measure,
)
from speciarl.evaluation.scores import areas_of, best_of_all, score
from speciarl.evaluation.similarity import Embedder
from speciarl.evaluation.stops import SAID, placed, stops
from speciarl.report.tables import measure_table
from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import SPECIFICITY_WEIGHTS, Pair
from tests.unit.test_intervals import GROUPS, IMAGES, RUNS, drawn, drawn_seeds, judged_rows

TAXONOMY = Taxonomy.load_all()
DATASET = "oxford_pets"
KINDS = {"run": pl.String, "seed": pl.Int64, "verdict": pl.String, "prediction": pl.String}


def judged(**runs):
    """Rows of runs on Samoyeds: of each image (class_name, prediction, verdict), one or more."""
    rows = [
        (run, 1, DATASET, f"{image:03}", rollout, name, said, said and said.lower(), verdict,
         (verdict and "taxonomy") or "unparsable", False)
        for run, images in runs.items()
        for image, drawn_ in enumerate(images)
        for rollout, (name, said, verdict) in enumerate(
            drawn_ if isinstance(drawn_, list) else [drawn_])
    ]  # fmt: skip
    names = ["run", "seed", "dataset", "sample_id", "rollout", "class_name", "prediction",
             "normalized", "verdict", "decided_by", "several_tagged"]  # fmt: skip
    return pl.DataFrame(rows, names, orient="row", schema_overrides=KINDS)


def measured(rows, **given):
    areas = areas_of({"pets": [DATASET]}, [])
    best = best_of_all(rows, rows["run"].unique(maintain_order=True).to_list(), [DATASET], SAID)
    return measure(placed(best, TAXONOMY), areas, **given)


def values(found, name, run="r"):
    rows = found.filter(measure=name, run=run, level="dataset")
    return dict(rows.select("at", "value").rows())


SAMOYEDS = judged(
    r=[
        ("samoyed", "Samoyed", "specific"),
        ("samoyed", "a spitz", "less specific"),
        ("samoyed", "a dog", "generic"),
        ("samoyed", "animal", "generic"),
        ("samoyed", "a white cloud", "generic"),  # the judge is kinder than the taxonomy
        ("samoyed", "it is a samoyed puppy", "more specific"),
        ("samoyed", "beagle", "wrong"),
        ("samoyed", None, None),
    ]
)


def test_shares_at_or_above_each_level_by_hand():
    assert values(measured(SAMOYEDS), "at_least") == {
        "abstain": 6 / 8, "generic": 6 / 8, "less specific": 3 / 8, "specific": 2 / 8,
        "more specific": 1 / 8,
    }  # fmt: skip


def test_specificity_as_a_curve_over_weights_by_hand():
    curve = values(measured(SAMOYEDS), "specificity")
    assert list(curve) == [f"{i / 10:.1f}" for i in range(11)]
    for i, value in enumerate(curve.values()):
        generic = i / 10
        assert value == pytest.approx((2 + (1 + generic) / 2 + 3 * generic) / 6)


def test_how_far_up_the_tree_correct_predictions_stop():
    found = values(measured(SAMOYEDS), "stops")
    up = {len(TAXONOMY.relation("samoyed", said, DATASET).path) - 1 for said in ("dog", "animal")}
    assert len(up) == 2 and min(up) > 1
    expected = {"narrower": 1 / 6, "0": 1 / 6, "1": 1 / 6, "unknown": 1 / 6}
    assert found == pytest.approx(expected | {str(steps): 1 / 6 for steps in up})


def test_what_is_counted_dropped_and_elsewhere_are_all_images():
    said = [("samoyed", "x", v) for v in ("specific", "wrong", "abstain", "generic")]
    failed = pl.col("sample_id").is_in(["000", "001"]) & (pl.col("run") == "r")
    of_base = (pl.col("run") == "base") & (pl.col("sample_id") == "003")
    rows = judged(base=[[one, one] for one in said[::-1]], r=said).with_columns(
        pl.when(failed | of_base).then(None).otherwise("verdict").alias("verdict"),
        decided_by=pl.when(failed | of_base).then(pl.lit("failed")).otherwise("decided_by"),
    )
    given = {"base": "base", "inclusion": lambda pairs: dict.fromkeys(pairs)}  # which always fails
    found = measured(rows, **given).filter(run="r", level="dataset")
    counts = {
        (m, at): both for m, at, *both in found.select("measure", "at", "images", "dropped").rows()
    }
    assert counts["at_least", "generic"] == [2, 2]
    assert counts["specificity", "0.2"] == [1, 2]  # and one is not correct
    assert counts["text_inclusion", ""] == [2, 2]
    assert counts["llm_inclusion", ""] == [0, 4]
    # Of the images that r has a verdict for, one the base policy knows, and of one nobody can tell.
    knows, not_ = (counts["wrong_where_base", at] for at in ("knows", "does not"))
    assert knows[1] == not_[1] and knows[0] + not_[0] + knows[1] == 4
    undefined = found.filter(measure="llm_inclusion").select("value", "low", "high")
    assert undefined.row(0) == (None, None, None)


def test_llm_inclusion_is_a_share_of_what_the_model_could_tell():
    asked = []

    def inclusion(pairs):
        asked.extend(pairs)
        return {p: {"samoyed": True, "a dog": None}.get(p.prediction, False) for p in pairs}

    rows = judged(r=[
        ("samoyed", "Samoyed", "specific"), ("samoyed", "samoyed", "specific"),
        ("samoyed", "a dog", "generic"), ("samoyed", "beagle", "wrong"), ("samoyed", None, None),
    ])  # fmt: skip
    (row,) = (
        measured(rows, inclusion=inclusion)
        .filter(measure="llm_inclusion", level="dataset")
        .select("value", "images", "dropped")
        .rows()
    )
    assert row == (2 / 4, 4, 1)
    # One question for each normal form, about what was written.
    assert [(p.prediction, p.written) for p in asked] == [
        ("samoyed", "Samoyed"), ("a dog", "a dog"), ("beagle", "beagle")
    ]  # fmt: skip


def test_where_predictions_stop_is_counted_for_each_class_with_the_kinds_above_it():
    best = best_of_all(SAMOYEDS, ["r"], [DATASET], SAID)
    found = stops(placed(best, TAXONOMY), TAXONOMY)
    assert found["images"].sum() == best.height
    counted = {(one["named"], one["outcome"]): one["images"] for one in found.iter_rows(named=True)}
    assert counted == {
        ("samoyed", "specific"): 1, ("spitz", "less specific"): 1, ("dog", "generic"): 1,
        ("animal", "generic"): 1, ("samoyed", "more specific"): 1, (None, "generic"): 1,
        (None, "wrong"): 1, (None, "unparsable"): 1,
    }  # fmt: skip
    (kinds,) = found["kinds"].unique().to_list()
    assert {"spitz", "dog", "animal"} < set(kinds) and kinds.index("dog") > kinds.index("spitz")


def test_text_inclusion_is_blind_to_case_and_counts_what_could_not_be_parsed():
    assert values(measured(SAMOYEDS), "text_inclusion") == {"": 2 / 8}


def test_restraint_is_told_apart_by_what_the_base_policy_can_name():
    def said(verdict):
        return ("samoyed", "x", verdict)

    base = [
        [said("wrong"), said("specific")], [said("generic"), said("specific")],
        [said("generic"), said("wrong")], [said("wrong"), said("wrong")], [said("wrong")] * 2,
    ]  # fmt: skip
    rows = judged(
        base=base, r=[said(v) for v in ("specific", "generic", "wrong", "specific", "generic")]
    )
    found = measured(rows, base="base")
    assert values(found, "specific_where_base") == {"knows": 1 / 2, "does not": 1 / 3}
    assert values(found, "wrong_where_base") == {"knows": 0.0, "does not": 1 / 3}
    assert values(found, "specific_where_base", "base") == {"knows": 1.0, "does not": 0.0}
    images = found.filter(measure="wrong_where_base", level="dataset", run="r")["images"]
    assert images.to_list() == [2, 3]


def test_what_the_judge_failed_on_is_in_no_denominator():
    failed = judged(r=[("samoyed", "x", "specific"), ("samoyed", "y", "wrong")]).with_columns(
        verdict=pl.when(sample_id="000").then("verdict"),
        decided_by=pl.when(sample_id="001").then(pl.lit("failed")).otherwise("decided_by"),
    )
    found = measured(failed, base="r")
    assert values(found, "at_least")["specific"] == 1.0
    assert set(found.drop_nulls("value")["images"]) == {1}
    assert set(found.drop_nulls("run")["dropped"]) == {1}
    assert values(found, "specific_where_base") == {"knows": 1.0, "does not": None}


def test_what_cannot_be_told_has_a_reason_and_no_value():
    found = measured(SAMOYEDS).filter(pl.col("absent").is_not_null())
    assert found.schema == SCHEMA
    assert found["value"].null_count() == found["run"].null_count() == found.height
    reasons = dict(found.select("measure", "absent").rows())
    assert reasons == {
        "llm_inclusion": NO_LLM, "specific_where_base": NO_BASE, "wrong_where_base": NO_BASE,
        **dict.fromkeys(SIMILARITIES, NO_EMBEDDINGS),
    }  # fmt: skip


def test_similarities_are_means_in_which_no_prediction_is_like_nothing():
    asked = []

    def similarity(pairs):
        asked.extend(pairs)
        return {pair: (len(pair.prediction) / 100, 0.5) for pair in pairs}

    found = measured(SAMOYEDS, similarity=similarity)
    texts = SAMOYEDS["prediction"].drop_nulls()
    assert [pair.prediction for pair in asked] == texts.to_list()  # as written
    mean = texts.str.len_chars().sum() / 100 / 8
    assert values(found, "semantic_similarity") == {"": pytest.approx(mean)}
    assert values(found, "concept_similarity") == {"": pytest.approx(0.5 * 7 / 8)}
    assert "semantic_similarity" not in found.filter(pl.col("absent").is_not_null())["measure"]


QUERY = """
WITH best AS (
    SELECT run, seed, dataset, sample_id, max(step) AS step, any_value(class_name) AS class_name,
           arg_max(prediction, rank) AS prediction, bool_and(decided_by = 'failed') AS failed,
           row_number() OVER (PARTITION BY run, seed, dataset ORDER BY sample_id) AS place
    FROM (SELECT *, enum_code(verdict::ladder) AS step,
                 (coalesce(step + 1, (decided_by = 'failed')::INT - 1), -rollout) AS rank
          FROM judged)
    GROUP BY run, seed, dataset, sample_id
), known AS (
    SELECT dataset, sample_id, step >= 4 IS TRUE AS known FROM best
    WHERE run = 'sampled' AND NOT failed
), ratios AS (
    SELECT *, 'at_least specific' AS measure, (step >= 4)::INT AS value, NOT failed AS images
    FROM best
    UNION ALL SELECT *, 'specificity 0.3', CASE step WHEN 2 THEN .3 WHEN 3 THEN .65 ELSE 1 END,
                     step >= 2 FROM best
    UNION ALL SELECT *, 'text_inclusion ', contains(lower(prediction), lower(class_name))::INT,
                     NOT failed FROM best
    UNION ALL SELECT best.*, 'wrong_where_base does not', (step = 0)::INT, NOT failed
    FROM best JOIN known USING (dataset, sample_id) WHERE NOT known.known
), by_dataset AS (
    SELECT measure, run, seed, dataset, replicate,
           sum(times * value) FILTER (images) / sum(times) FILTER (images) AS value,
           count(*) FILTER (images AND replicate = 0) AS images
    FROM ratios JOIN draws USING (dataset, place) GROUP BY ALL
), by_area AS (
    SELECT measure, run, seed, level, name, replicate, avg(value) AS value, sum(images) AS images
    FROM by_dataset JOIN areas USING (dataset) GROUP BY ALL
), pooled AS (
    SELECT measure, run, level, name, replicate, sum(value * weight) AS value,
           sum(images)::BIGINT AS images
    FROM by_area JOIN seeds USING (run, seed, replicate) GROUP BY ALL
)
SELECT measure, run, level, name, sum(images)::BIGINT,
       any_value(value) FILTER (replicate = 0),
       quantile_cont(value, 0.025) FILTER (replicate > 0),
       quantile_cont(value, 0.975) FILTER (replicate > 0)
FROM pooled GROUP BY ALL ORDER BY ALL
"""


def test_measures_again_in_sql():
    names = ["run", "seed", "dataset", "sample_id", "rollout", "verdict", "decided_by"]
    rows = pl.DataFrame(list(judged_rows()), names, orient="row", infer_schema_length=None)
    said = pl.when(pl.col("verdict") == "specific").then(pl.lit("A Beagle")).otherwise(
        pl.when(pl.col("verdict").is_not_null()).then(pl.lit("x"))
    )  # fmt: skip
    rows = rows.with_columns(several_tagged=pl.lit(False), class_name=pl.lit("Beagle"),
                             prediction=said, normalized=said.str.to_lowercase())  # fmt: skip
    areas = areas_of(GROUPS, ["planes", "cars"])
    best = best_of_all(rows, list(RUNS), list(IMAGES), SAID)
    taxonomy = TAXONOMY
    for name in IMAGES:
        taxonomy = taxonomy.with_plain(name, ["Beagle"])
    found = measure(placed(best, taxonomy), areas, base="sampled")
    with duckdb.connect() as db:
        steps = ", ".join(f"'{v}'" for v in best["verdict"].dtype.categories)
        db.execute(f"CREATE TYPE ladder AS ENUM ({steps})")
        for name, frame in {
            "judged": rows, "draws": pl.concat(drawn()), "seeds": pl.concat(drawn_seeds()),
            "areas": pl.DataFrame(
                [(a.level, a.name, dataset) for a in areas for dataset in a.datasets],
                ["level", "name", "dataset"], orient="row",
            ),
        }.items():  # fmt: skip
            db.register(name, frame)
        expected = db.execute(QUERY).fetchall()
    keys = ("measure", "run", "level", "name")
    named = found.with_columns(measure=pl.concat_str("measure", "at", separator=" "))
    same = named.filter(pl.col("measure").is_in([row[0] for row in expected])).sort(keys)
    assert len(expected) == 4 * len(RUNS) * len(areas)
    columns = same.select(*keys, "images", "value", "low", "high").rows()
    assert columns == [pytest.approx(row) for row in expected]
    # At the authors' weights it is the Specificity of the scores, interval and all.
    replicates = Replicates(best, list(IMAGES), SPECIFICITY_WEIGHTS)
    scores = score(best, replicates, areas, SPECIFICITY_WEIGHTS).filter(pl.col("seed").is_null())
    for row in found.filter(measure="specificity", at="0.2").iter_rows(named=True):
        beside = scores.filter(run=row["run"], level=row["level"], name=row["name"])
        of = [beside[f"specificity{end}"].item() for end in ("", "_low", "_high")]
        assert [row["value"], row["low"], row["high"]] == pytest.approx(of)


def test_the_base_policy_is_told_by_the_run_that_draws_the_most_samples_of_it():
    params = Path(__file__).parents[2] / "params.yaml"
    default = load([params])

    def base(**runs):
        return load([params], {"runs": dict.fromkeys(default.runs) | runs}).sampled_base

    assert default.sampled_base == "best_of_64"
    assert base(greedy={}) is None
    trained = {"method": "sft", "best_of": 64}
    assert base(few={"best_of": 4}, many={"best_of": 9}, trained=trained) == "many"


TEXTS = ["Samoyed", "a dog", "Samoyed, a white dog", "beagle"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A random encoder of two layers with a tokenizer by words."""
    folder = tmp_path_factory.mktemp("encoder")
    words = "[PAD] [UNK] [CLS] [SEP] samoyed a dog white beagle ,"
    (folder / "vocab.txt").write_text(words.replace(" ", "\n"))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=10, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=16)  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def test_cosines_of_a_local_encoder_are_those_of_each_text_alone(encoder):
    found = Embedder(encoder)([Pair("Samoyed", text) for text in TEXTS])
    model, tokenizer = BertModel.from_pretrained(encoder), BertTokenizer.from_pretrained(encoder)

    def vector(text):
        return model.eval()(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)

    def cosine(text):
        return torch.cosine_similarity(vector("Samoyed"), vector(text), dim=0).item()

    for (_, text), (whole, _) in found.items():
        assert whole == pytest.approx(cosine(text), abs=1e-5)  # whatever it is padded to
    assert found["Samoyed", "Samoyed"] == pytest.approx((1, 1))
    whole, part = found["Samoyed", "Samoyed, a white dog"]
    assert whole < 0.99 and part == pytest.approx(1)  # one of its clauses is the name


def test_a_directory_without_an_encoder_is_named(tmp_path):
    with pytest.raises(ConfigError, match=f"measures.embedding_model: {tmp_path} holds no encoder"):
        Embedder(tmp_path)


def test_the_report_s_table_has_a_column_for_each_run_and_areas_in_their_order():
    rows = [
        ("stops", "0", run, level, name, value)
        for name, level in (("near", "group"), ("a", "dataset"), ("all", "overall"))
        for run, value in (("one", 0.25), ("other", 0.5), ("left out", 1.0))
    ] + [("semantic_similarity", None, None, None, None, None)]
    names = ["measure", "at", "run", "level", "name", "value"]
    found = measure_table(pl.DataFrame(rows, names, orient="row"), ["other", "one"])
    assert found.columns == ["name", "measure", "at", "other", "one"]
    assert found.rows() == [("near", "stops", "0", 0.5, 0.25), ("all", "stops", "0", 0.5, 0.25)]
