import shutil
from itertools import islice
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from speciarl.cache import VerdictCache, query_store
from speciarl.cache.queries import predictions as view
from speciarl.cache.reading import ask
from speciarl.cli.main import app
from speciarl.config import Run, VerifierConfig
from speciarl.errors import DataError, VerifierError
from speciarl.evaluation.judge import check_predictions, judge_folder, judge_predictions
from speciarl.evaluation.metrics import best_per_sample, correctness, tally
from speciarl.evaluation.parts import Part
from speciarl.evaluation.predict import rows_of
from speciarl.verdicts import (
    LABELS,
    Failure,
    FailureKind,
    Judgment,
    Pair,
    Verdict,
)
from speciarl.verifiers.cached import CachedVerifier, verdict_table
from speciarl.verifiers.precompute import pairs_seen, pairs_to_expect, precompute

FOLDER = Path(__file__).parents[2]
DOWN = Failure(FailureKind.UNREACHABLE, "connection refused")


class Table:
    """Right where class and prediction agree, silent where the prediction is "down"."""

    identity = {"verifier": "table"}  # noqa: RUF012

    def __init__(self):
        self.asked = 0
        self.read = []

    def judge(self, pairs):
        self.asked += len(pairs)
        self.read += [pair.written for pair in pairs]
        for pair in pairs:
            right = pair.prediction == pair.class_name.lower()
            verdict = Judgment(Verdict.SPECIFIC if right else Verdict.WRONG, "t")
            yield pair, Judgment(None, failure=DOWN) if pair.prediction == "down" else verdict


@pytest.fixture
def source(tmp_path):
    return CachedVerifier(Table(), VerdictCache(tmp_path / "c.duckdb", Table.identity, "r"), set())


def predictions(*predictions):
    rows = [(str(i), "d", "Gull", 42, 0, f"<{a}>", a) for i, a in enumerate(predictions)]
    names = ["sample_id", "dataset", "class_name", "seed", "rollout", "completion", "prediction"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_every_row_is_kept_with_what_became_of_it(source):
    judged, why = judge_predictions(predictions("Gull", None, "down", "GULL.", "tern"), source)
    assert judged["verdict"].to_list() == ["specific", None, None, "specific", "wrong"]
    assert judged["decided_by"].to_list() == ["t", "unparsable", "failed", "t", "t"]
    assert "completion" not in judged.columns
    assert why == DOWN.message


def test_an_image_that_was_not_shown_is_a_failure_and_no_fault_of_the_judge(source, tmp_path):
    folder = tmp_path / "predictions"
    (folder / "42").mkdir(parents=True)
    unseen = pl.col("sample_id").is_in(["1", "2"])
    rows = predictions("Gull", None, None, None, "tern").with_columns(
        completion=pl.when(~unseen).then("completion"),
        error=pl.when(unseen).then(pl.lit("b.png: unreadable (the file is empty)")),
    )
    rows.write_parquet(folder / "42/d.parquet")
    judge_folder(folder, tmp_path / "verdicts", {"d": source}, max_failures=0.0)
    judged = pl.read_parquet(tmp_path / "verdicts/42/d.parquet")
    assert judged["decided_by"].to_list() == ["t", "failed", "failed", "unparsable", "t"]
    assert judged["verdict"].to_list() == ["specific", None, None, None, "wrong"]
    assert judged["error"].to_list() == rows["error"].to_list()
    counts = tally(best_per_sample(judged)).row(0, named=True)
    outcomes = (counts["specific"], counts["wrong"], counts["unparsable"], counts["failed"])
    assert outcomes == (1, 1, 1, 2) and counts["samples"] == sum(outcomes)
    assert not judged["several_tagged"].any()


@pytest.mark.parametrize(("answer_tag", "first"), [("first", "wrong"), ("last", "specific")])
def test_several_tagged_predictions_are_counted_whichever_counts(
    source, answer_tag, first, tmp_path
):
    said = ["<answer>tern</answer> or <answer>Gull</answer>", "<answer>Gull</answer>", "Gull"]
    samples = pl.DataFrame({"sample_id": list("abc"), "dataset": "d", "class_name": "Gull"})
    rows = rows_of(Part(42, "d", samples, 3, tmp_path), [[text] for text in said], answer_tag)
    judged, _ = judge_predictions(rows, source)
    assert judged["verdict"].to_list() == [first, "specific", None]
    assert judged["several_tagged"].to_list() == [True, False, False]
    counts = tally(best_per_sample(judged)).row(0, named=True)
    assert (counts["several_tagged"], counts["unparsable"]) == (1, 1)


def test_of_spellings_of_one_normal_form_the_first_is_judged_and_all_get_its_verdict(source):
    said = predictions("**GULL**.", "gull", None, "a “Tern”", "A tern")
    judged, _ = judge_predictions(said, source)
    assert source.verifier.read == ["GULL.", "a “Tern”", "A tern"]
    assert judged["verdict"].to_list() == ["specific", "specific", None, "wrong", "wrong"]
    judge_predictions(predictions("Gull", "tern"), source)
    assert source.verifier.read[3:] == ["tern"]


def test_a_judged_file_carries_the_ladder_and_names_its_rows_of_the_store(source, tmp_path):
    """The question of docs/sql.md for Correctness gives what the metrics say."""
    folder, judged = tmp_path / "predictions", tmp_path / "verdicts"
    (folder / "run/42").mkdir(parents=True)
    said = predictions("Gull", None, "down", "*GULL*.", "tern", "Tern")
    said.write_parquet(folder / "run/42/d.parquet")
    judge_folder(folder / "run", judged / "run", {"d": source}, max_failures=0.5)
    rows = pl.read_parquet(judged / "run/42/d.parquet")
    assert rows.schema["verdict"] == pl.Enum(LABELS)
    assert rows["normalized"].to_list() == ["gull", None, "down", "gull", "tern", "tern"]
    manifest = rows.select("sample_id", "dataset", image="raw/" + pl.col("sample_id"))
    (tmp_path / "manifests").mkdir()
    manifest.write_parquet(tmp_path / "manifests/d.parquet")
    with view(source.cache.path, judged, tmp_path / "manifests") as db:
        share = ask(db, "SELECT avg(correct::INT) FROM predictions").item()
        stored = (
            "SELECT count(*) FROM predictions JOIN verdicts USING (verifier, class, prediction)"
        )
        assert ask(db, stored).item() == 4
    assert share == correctness(tally(best_per_sample(rows)).row(0, named=True)) == 2 / 5


def test_too_many_failures_leave_no_output_but_keep_the_verdicts(source, tmp_path):
    folder = tmp_path / "predictions"
    (folder / "42").mkdir(parents=True)
    predictions("Gull", "down").write_parquet(folder / "42/d.parquet")
    line = r"1 of 2 predictions of .*d\.parquet have no .*connection refused"
    with pytest.raises(VerifierError, match=line):
        judge_folder(folder, tmp_path / "verdicts", {"d": source}, max_failures=0.4)
    assert not (tmp_path / "verdicts").exists()
    assert source.cache.get([Pair("Gull", "gull")])[0].verdict is Verdict.SPECIFIC
    judge_folder(folder, tmp_path / "verdicts", {"d": source}, max_failures=0.5)
    assert pl.read_parquet(tmp_path / "verdicts/42/d.parquet").height == 2
    noted = "SELECT run, step, hits, misses, asked, failures FROM lookups ORDER BY created_at"
    assert query_store(source.cache.path, noted).rows() == [
        ("r", None, 0, 2, 2, 1), ("r", None, 1, 1, 1, 1),
    ]  # fmt: skip


@pytest.fixture
def predicted(tmp_path):
    """A manifest of three test images, and what a run of two seeds has said of them, twice each."""
    manifest = pl.DataFrame(
        {
            "sample_id": list("abcd"), "class_name": "Gull", "dataset": "d",
            "split": ["test", "test", "test", "train"],
        }
    )  # fmt: skip
    manifest.write_parquet(tmp_path / "d.parquet")
    rows = manifest.filter(split="test").join(
        pl.DataFrame({"rollout": [0, 1]}, {"rollout": pl.Int32}), how="cross"
    )
    for seed in ("42", "43"):
        (tmp_path / "run" / seed).mkdir(parents=True)
        rows.write_parquet(tmp_path / "run" / seed / "d.parquet")
    return tmp_path, rows


def check(folder):
    check_predictions(folder / "run", Run(seeds=[42, 43], best_of=2), [folder / "d.parquet"])


def renamed(column, name):
    one = pl.col("sample_id") == "b"
    changed = pl.when(one).then(pl.lit(name)).otherwise(column)
    return lambda rows: rows.with_columns(changed.alias(column))


OTHER_PREDICTIONS = {
    "no rows": (lambda rows: rows.clear(), (0, 6)),
    "an image is missing": (lambda rows: rows.filter(pl.col("sample_id") != "b"), (4, 2)),
    "a rollout is missing": (lambda rows: rows[:-1], (5, 1)),
    "every last rollout is": (lambda rows: rows.filter(rollout=0), (3, 3)),
    "rows twice": (lambda rows: pl.concat([rows, rows[:2]]), (8, 0)),
    "twice one, none of another": (lambda rows: pl.concat([rows[:4], rows[:2]]), (6, 2)),
    "another image": (renamed("sample_id", "x"), (6, 2)),
    "a class of another name": (renamed("class_name", "Tern"), (6, 2)),
}


def test_predictions_of_the_manifest_pass_in_any_order(predicted):
    folder, rows = predicted
    rows.reverse().write_parquet(folder / "run/43/d.parquet")
    check(folder)


@pytest.mark.parametrize("name", OTHER_PREDICTIONS)
def test_predictions_of_another_manifest_are_named(name, predicted):
    folder, rows = predicted
    change, (found, lacking) = OTHER_PREDICTIONS[name]
    change(rows).write_parquet(folder / "run/43/d.parquet")
    with pytest.raises(DataError) as refused:
        check(folder)
    assert str(refused.value) == (
        f"{folder}/run/43/d.parquet has {found} rows and lacks {lacking} of the 6 that "
        f"{folder}/d.parquet asks for: predict the run again"
    )


def test_a_seed_that_is_missing_or_too_many_is_named(predicted):
    folder, _ = predicted
    (folder / "run/43").rename(folder / "run/44")
    with pytest.raises(DataError, match=r"run lacks 43/d\.parquet: predict the run again"):
        check(folder)
    shutil.copytree(folder / "run/44", folder / "run/43")
    with pytest.raises(DataError, match=r"run has, of other parameters, 44/d\.parquet: predict"):
        check(folder)


def test_a_damaged_table_of_predictions_is_one_line_that_names_it(predicted):
    folder, _ = predicted
    path = folder / "run/42/d.parquet"
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"no parquet"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"42/d\.parquet cannot be read as parquet"):
            check(folder)


def test_a_judge_that_leaves_some_out_leaves_no_output(source, tmp_path, monkeypatch):
    (tmp_path / "predictions/42").mkdir(parents=True)
    predictions("Gull", "tern", "owl").write_parquet(tmp_path / "predictions/42/d.parquet")
    judge = source.verifier.judge
    monkeypatch.setattr(source.verifier, "judge", lambda pairs: islice(judge(pairs), 2))
    with pytest.raises(VerifierError, match=r"gave no judgment on .*owl"):
        judge_folder(
            tmp_path / "predictions", tmp_path / "verdicts", {"d": source}, max_failures=1.0
        )
    assert not (tmp_path / "verdicts").exists()


def test_precomputing_asks_only_for_what_the_store_lacks(tmp_path):
    taxonomy = pl.DataFrame(
        {
            "dataset": "d",
            "class_name": [None, None, None, None, "Gull", "Gull", "Tern", "Tern"],
            "term": ["Bird", "Cassowary", "Loon", "gull", "Bird", "gull", "Bird", "Cassowary"],
            "verdict": ["wrong", "wrong", None, "wrong", "generic", "specific", "generic", None],
        }
    )
    verifier = Table()
    cache = VerdictCache(tmp_path / "c.duckdb", verifier.identity, "precompute")
    pairs = pairs_to_expect(taxonomy)
    first = precompute(pairs, verifier, cache, VerifierConfig())
    assert pairs.select("class", "prediction").rows() == [
        *(("Gull", term) for term in ("bird", "cassowary", "gull", "none", "unknown")),
        *(("Tern", term) for term in ("bird", "gull", "none", "unknown")),
    ]
    assert first.height == pairs.height == verifier.asked
    assert first.rows() == sorted(first.rows())
    again = VerdictCache(tmp_path / "c.duckdb", verifier.identity, "precompute")
    assert precompute(pairs, verifier, again, VerifierConfig()).equals(first)
    assert verifier.asked == pairs.height


def test_answers_seen_before_are_expected_in_normal_form(tmp_path, capsys):
    predictions("GULL.", None, "gull", "...", "tern").write_parquet(tmp_path / "d.parquet")
    pairs = pairs_seen([tmp_path / "d.parquet"])
    assert pairs.rows() == [("Gull", "gull", False), ("Gull", "tern", False)]
    assert pairs_seen([]).is_empty()


def test_precomputing_goes_on_where_it_broke_off(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("speciarl.verifiers.precompute.BATCH", 2)
    monkeypatch.setattr("speciarl.progress.EVERY", 0)
    predictions = [f"a{i}" for i in range(7)]
    pairs = pl.DataFrame({"class": "Gull", "prediction": predictions, "implied": False})
    breaking, whole = Table(), Table()

    def judge(batch):
        if breaking.asked >= 4:
            raise VerifierError("the judge is gone")
        return Table.judge(breaking, batch)

    monkeypatch.setattr(breaking, "judge", judge)
    broken_off = VerdictCache(tmp_path / "c.duckdb", Table.identity, "r")
    with pytest.raises(VerifierError):
        precompute(pairs, breaking, broken_off, VerifierConfig())
    cache = VerdictCache(tmp_path / "c.duckdb", Table.identity, "r")
    assert precompute(pairs, whole, cache, VerifierConfig()).height == 7
    assert whole.asked == 7 - 4
    noted = query_store(cache.path, "SELECT hits, misses, asked FROM lookups ORDER BY created_at")
    assert noted.rows() == [(0, 4, 4), (4, 3, 3)]
    said = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    broken, resumed = ["2 of 7 pairs", "4 of 7 pairs"], [f"{n} of 7 pairs" for n in (2, 4, 6, 7)]
    assert said == broken + resumed


def test_a_table_of_verdicts_leaves_out_failures():
    judged = {
        Pair("b", "x"): Judgment(Verdict.WRONG, "t"),
        Pair("a", "y"): Judgment(Verdict.GENERIC, "t"),
        Pair("a", "z"): Judgment(None, failure=DOWN),
    }
    assert verdict_table(judged).rows() == [("a", "y", "generic", "t"), ("b", "x", "wrong", "t")]


def test_the_command_judges_what_models_have_answered(tmp_path, capsys):
    taxonomy, store = tmp_path / "taxonomy.parquet", tmp_path / "cache.duckdb"
    pl.DataFrame({"dataset": ["cub200"], "class_name": ["Herring Gull"]}).write_parquet(taxonomy)
    (tmp_path / "run/42").mkdir(parents=True)
    given = predictions("bird", "herring gull", None, "Bird.")
    given = given.with_columns(class_name=pl.lit("Herring Gull"))
    given.write_parquet(tmp_path / "run/42/cub200.parquet")
    gone = predictions("dish").with_columns(class_name=pl.lit("pizza"))
    gone.write_parquet(tmp_path / "run/42/food101.parquet")
    given.write_parquet(tmp_path / "run/42/of other parameters.parquet")
    (tmp_path / "over.yaml").write_text("verifier: {max_failures: 0.5}")
    arguments = ["--taxonomy", taxonomy, "--facts", FOLDER / "data/taxonomies", "--store", store]
    arguments += ["--params", FOLDER / "params.yaml", "--params", tmp_path / "over.yaml"]
    command = ["verdicts", "precompute", str(tmp_path), *map(str, arguments)]
    for added in (2, 0):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.exception
        assert f"2 pairs in 2 files, {added} verdicts added" in done.output
        assert "1 files left out: the parameters do not name their datasets" in done.output
        assert "1 pairs left out: their class is not in" in done.output
    found = query_store(store, "SELECT prediction, verdict::VARCHAR FROM verdicts ORDER BY 1")
    assert found.rows() == [("bird", "generic"), ("herring gull", "specific")]
    empty = CliRunner().invoke(app, [*command[:2], str(tmp_path / "none"), *command[3:]])
    assert "snakemake" in str(empty.exception)
