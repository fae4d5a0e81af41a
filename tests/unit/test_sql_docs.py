"""The queries of docs/sql.md, each held against the same figures computed in polars."""

import random
import re
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from speciarl.cache import VerdictCache
from speciarl.cache.queries import predictions
from speciarl.cache.reading import ask
from speciarl.cache.store import opened
from speciarl.verdicts import fingerprint

PAGE = Path(__file__).parents[2] / "docs/sql.md"
BLOCKS = re.findall(r"([^\n]+):\n\n```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
LADDER = ["wrong", "abstain", "generic", "less specific", "specific", "more specific"]
CLASSES = {"oxford_pets": ["Beagle", "Samoyed"], "stanford_cars": ["Audi TT", "Ford Focus"]}
SAID = ["thing", "dog", "car", "beagle", "samoyed", "audi tt", "a dog", "roadster"]
IDENTITIES = [{"verifier": "cascade"}, {"verifier": "llm", "prompt": "base"}]
TAXONOMY, JUDGE = map(fingerprint, IDENTITIES)
RUNS = {"zero_shot": ([42], 1), "speciarl": ([42, 43], 1), "best_of_4": ([42], 4)}
DAY = datetime(2026, 3, 1, 9)


def verdict_rows(dice):
    """What two verifiers said, with all six verdicts of each."""
    pairs = [(c, said) for names in CLASSES.values() for c in names for said in SAID]
    for place, (name, said) in enumerate(pairs):
        at = DAY + timedelta(hours=7 * place)
        label = LADDER[place % 6]
        by = "undecided" if place % 12 == 0 else "taxonomy"
        yield TAXONOMY, name, said, label, by, None, None, "precompute", at
        if place % 7:
            label = dice.choice([label, *LADDER])
            cost = 10.0 + place / 4
            run = ["zero_shot", "speciarl"][place % 2]
            yield JUDGE, name, said, label, "llm", f"{label}.", cost, run, at


def lookup_rows(dice):
    for place in range(60):
        step = place // 2 if place % 3 else None
        run = ["speciarl", "rft", "zero_shot"][place % 5 % 3]
        counts = [dice.randrange(1, 50) for _ in range(4)]
        yield run, step, *counts, dice.uniform(0.1, 9), DAY + timedelta(hours=5 * place)


def prediction_rows(dice, verdicts):
    """Of one image every run says the same wrong thing; some outputs are unparsable or failed."""
    known = {row[:3]: row[3:5] for row in verdicts.rows()}
    for dataset, names in CLASSES.items():
        for number in range(40):
            name = names[number % 2]
            wrong = [said for said in SAID if known.get((JUDGE, name, said), [""])[0] == "wrong"]
            for run, (seeds, rollouts) in RUNS.items():
                for seed, rollout in product(seeds, range(rollouts)):
                    said = dice.choice(SAID) if number > 1 or not wrong else wrong[0]
                    verdict, by = known.get((JUDGE, name, said), (None, "failed"))
                    if number == 5:
                        said, verdict, by = None, None, "unparsable"
                    image = f"{dataset}/test/{number}"
                    yield run, seed, dataset, image, name, rollout, said, verdict, by


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Tables V (verdicts), L (lookups), P (predictions) and a connection to the same as files."""
    folder, dice = tmp_path_factory.mktemp("sql"), random.Random(5)
    names = [
        "verifier", "class", "prediction", "verdict", "decided_by", "judge_reply", "milliseconds",
        "run", "created_at",
    ]  # fmt: skip
    types = {"judge_reply": pl.String, "milliseconds": pl.Float32}
    v = pl.DataFrame(list(verdict_rows(dice)), names, orient="row", schema_overrides=types)
    names = ["run", "step", "hits", "misses", "failures", "asked", "judge_seconds", "created_at"]
    found = pl.DataFrame(list(lookup_rows(dice)), names, orient="row", infer_schema_length=None)
    names = [
        "run", "seed", "dataset", "sample_id", "class", "rollout", "prediction", "verdict",
        "decided_by",
    ]  # fmt: skip
    p = pl.DataFrame(list(prediction_rows(dice, v)), names, orient="row", infer_schema_length=None)
    store = folder / "cache.duckdb"
    for identity in IDENTITIES:
        VerdictCache(store, identity, "none")
    with opened(store) as db:
        for table, rows in {"verdicts": v, "lookups": found}.items():
            db.register("rows", rows)
            db.execute(f"INSERT INTO {table} BY NAME FROM rows")
            db.unregister("rows")
    p = p.with_columns(image=pl.lit("raw/") + pl.col("sample_id") + ".jpg")
    for (run, seed, dataset), rows in p.group_by("run", "seed", "dataset"):
        (folder / f"judged/{run}/{seed}").mkdir(parents=True, exist_ok=True)
        rows.select(
            "seed", "sample_id", "dataset", pl.col("class").alias("class_name"), "rollout",
            pl.col("prediction").str.to_uppercase().alias("prediction"),
            pl.col("prediction").alias("normalized"), pl.col("verdict").cast(pl.Enum(LADDER)),
            "decided_by", pl.lit(JUDGE).alias("verifier"), several_tagged=False,
        ).write_parquet(folder / f"judged/{run}/{seed}/{dataset}.parquet")  # fmt: skip
    (folder / "manifests").mkdir()
    listed = p.select("sample_id", "dataset", "image").unique()
    for (dataset,), rows in listed.group_by("dataset"):
        rows.write_parquet(folder / f"manifests/{dataset}.parquet")
    level = pl.col("verdict").replace_strict(LADDER, range(6), return_dtype=pl.Int64)
    v, p = (table.with_columns(level=level) for table in (v, p))
    correct = pl.when(pl.col("decided_by") == "unparsable").then(False).otherwise(level >= 2)
    p = p.with_columns(correct=correct)
    assert set(p["verdict"]) == {*LADDER, None} and set(v["verdict"]) == set(LADDER)
    assert {"unparsable", "failed"} < set(p["decided_by"])
    with predictions(store, folder / "judged", folder / "manifests") as db:
        yield db, v, found, p


def flips(v, key):
    """Pairs of verifiers, in the order of their fingerprints, with what each said."""
    both = v.join(v, on=key, suffix="_other")
    return both.filter(pl.col("verifier") < pl.col("verifier_other"))


def two_runs(p):
    one, other = (p.filter(run=name) for name in ("zero_shot", "speciarl"))
    return one.join(other, on=["dataset", "image", "class", "rollout"], suffix="_other")


def by_level(*columns):
    return [pl.col(c).replace_strict(LADDER, range(6), return_dtype=pl.Int64) for c in columns]


def spent(lookups, *key):
    return lookups.group_by(*key).agg(
        pl.col("asked", "failures").sum(), pl.col("judge_seconds").sum().round(1)
    )


def hit_rates(lookups):
    last = lookups.drop_nulls("step").sort("created_at").unique(["run", "step"], keep="last")
    return (
        last.group_by("run", from_step=pl.col("step") // 10 * 10)
        .agg((pl.col("hits").sum() / (pl.col("hits") + pl.col("misses")).sum()).round(3))
        .sort("run", "from_step")
    )


KEY = ["class", "prediction"]
EXPECTED = {
    "Predictions of a run on cars that were generic": lambda v, found, p: p.filter(
        run="zero_shot", dataset="stanford_cars", verdict="generic"
    ).sort("image").select("image", "class", "prediction", "decided_by"),
    "What flipped between a run and each seed of another, counted by what became what":
    lambda v, found, p: two_runs(p)
    .filter(pl.col("verdict").ne_missing(pl.col("verdict_other")))
    .group_by("verdict", "verdict_other").len()
    .sort(-pl.col("len").cast(int), *by_level("verdict", "verdict_other"), nulls_last=False),
    "Images on which a seed of the second run is wrong where the first was correct":
    lambda v, found, p:
    two_runs(p).filter(pl.col("correct") & ~pl.col("correct_other")).sort("image", "seed_other")
    .select("image", "seed_other", "class", "prediction", "prediction_other"),
    "Images that every run gets wrong, with every seed and in every rollout": lambda v, found, p: p
    .group_by("dataset", "image", "class")
    .agg(pl.col("run").n_unique(), ok=pl.col("correct").fill_null(True).any()).filter(~pl.col("ok"))
    .sort("dataset", "image").drop("ok"),
    "Correctness by run and dataset, as in the report where a run gives one prediction an image":
    lambda v, found, p: p.group_by("run", "dataset")
    .agg(pl.len(), pl.col("correct").cast(float).mean()).sort("run", "dataset"),
    "Correctness of each run over all images: how many seeds, their mean, and the spread between "
    "them": lambda v, found, p: p.group_by("run", "seed")
    .agg(pl.col("correct").cast(float).mean()).group_by("run")
    .agg(pl.len(), pl.col("correct").mean(), spread=pl.col("correct").std()).sort("run"),
    "The best verdict on each image, counted by run and seed": lambda v, found, p: p
    .group_by("run", "seed", "image").agg(pl.col("level").max())
    .group_by("run", "seed", "level").len().sort("run", "seed", "level", nulls_last=False)
    .with_columns(pl.col("level").replace_strict(range(6), LADDER, return_dtype=pl.String)),
    "What a language model said in full where it found a prediction wrong, and how long it took":
    lambda v, found, p: p.filter(verdict="wrong")
    .join(v.filter(verifier=JUDGE), on=KEY).sort("image", "run", "seed", "rollout")
    .select("image", "prediction", "judge_reply", "milliseconds"),
    "How the verdicts spread over the ladder": lambda v, found, p: v
    .group_by("level", "verdict").len().sort("level").drop("level"),
    "Predictions judged generic for a class": lambda v, found, p: v
    .filter(verdict="generic", **{"class": "Samoyed"})
    .sort("prediction", "decided_by").select("prediction", "decided_by"),
    "For each class, how many known predictions are right, and how many name it or what is below":
    lambda v, found, p: v.group_by("class")
    .agg(correct=(pl.col("level") >= 2).sum(), specific=(pl.col("level") >= 4).sum())
    .sort(-pl.col("correct").cast(int), "class"),
    "Predictions that are right for the most classes; a policy that plays safe gives these":
    lambda v, found, p: v.filter(pl.col("level") >= 2).group_by("prediction")
    .agg(pl.col("class").n_unique(), best=pl.col("level").max())
    .with_columns(pl.col("best").replace_strict(range(6), LADDER, return_dtype=pl.String))
    .sort(-pl.col("class").cast(int), "prediction").head(20),
    "What nobody could decide, and therefore counts as wrong; candidates for the taxonomy":
    lambda v, found, p: v.filter(decided_by="undecided").sort(*KEY).select(*KEY, "run"),
    "Who has judged, and how much": lambda v, found, p: v.group_by("verifier").len()
    .with_columns(kind=pl.col("verifier").replace({TAXONOMY: "cascade", JUDGE: "llm"}))
    .sort(-pl.col("len").cast(int), "verifier").select("verifier", "kind", "len"),
    "Pairs on which two verifiers differ, the widest apart first": lambda v, found, p:
    flips(v, KEY).filter(pl.col("level") != pl.col("level_other"))
    .with_columns(steps=(pl.col("level") - pl.col("level_other")).abs())
    .sort(-pl.col("steps"), *KEY).select(*KEY, "verdict", "verdict_other", "steps").head(50),
    "Flips between two judges or prompts, counted by what became what": lambda v, found, p:
    flips(v, KEY).filter(pl.col("level") != pl.col("level_other"))
    .group_by("verifier", "verifier_other", "verdict", "verdict_other").len()
    .sort(-pl.col("len").cast(int), *by_level("verdict", "verdict_other")),
    "Classes on which two verifiers differ most often, as a share of the pairs that both have "
    "judged": lambda v, found, p: flips(v, KEY).group_by("class")
    .agg(pl.len(), (pl.col("level") != pl.col("level_other")).mean().alias("share"))
    .sort(-pl.col("share"), -pl.col("len").cast(int), "class"),
    "What a language model said in full where it disagrees with the taxonomy": lambda v, found, p:
    v.filter(verifier=JUDGE).join(v.filter(decided_by="taxonomy"), on=KEY, suffix="_taxonomy")
    .filter(pl.col("level") != pl.col("level_taxonomy"))
    .sort(*KEY).select(*KEY, "verdict_taxonomy", "verdict", "judge_reply"),
    "Judge time and questions by run, in training and in evaluation": lambda v, found, p:
    spent(found, "run", pl.col("step").is_not_null().alias("training"))
    .sort(-pl.col("judge_seconds"), "run", "training"),
    "What the judge cost by run and day": lambda v, found, p:
    spent(found, "run", pl.col("created_at").dt.date().alias("day")).sort("day", "run"),
    "The hit rate over the course of a run, by tens of steps": lambda v, found, p: hit_rates(found),
    "The slowest questions": lambda v, found, p: v.drop_nulls("milliseconds")
    .sort(-pl.col("milliseconds"), *KEY).head(20).select(*KEY, "decided_by", "milliseconds"),
    "Verdicts that each run paid for, day by day": lambda v, found, p: v.drop_nulls("milliseconds")
    .group_by("run", pl.col("created_at").dt.date().alias("day"))
    .agg(pl.len(), (pl.col("milliseconds").cast(float).sum() / 1000).round(1)).sort("day", "run"),
}  # fmt: skip


def test_every_query_of_the_page_has_its_computation():
    assert [title for title, _ in BLOCKS] == list(EXPECTED)
    assert PAGE.read_text().count("```sql") == len(BLOCKS)


@pytest.mark.parametrize(("title", "query"), BLOCKS, ids=[title for title, _ in BLOCKS])
def test_a_query_gives_the_figures_of_its_computation(data, title, query):
    db, v, found, p = data
    rows = ask(db, query).rows()
    expected = EXPECTED[title](v, found, p).rows()
    assert len(expected) > 1
    assert rows == [pytest.approx(row) for row in expected]
