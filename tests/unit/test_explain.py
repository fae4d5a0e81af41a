"""Judging pairs by hand: one at a time, and a CSV of them that keeps every row and column."""

import csv
import io
from pathlib import Path

import pytest

from speciarl.errors import DataError, TaxonomyError
from speciarl.verdicts import LABELS
from speciarl.verifiers.explain import UNDECIDED, judge_csv
from tests.facts import judge

ROOT = Path(__file__).parents[2]
# Labelled from general knowledge by the rules, before anything was run on them; the taxonomy was
# mended afterwards where it had been wrong.
OWN_PAIRS = ROOT / "tests/data/verdict_pairs.csv"
PAIRS = ROOT.parent / "shared/data/verdict_pairs_dev.csv"
# Answers as models write them, labelled by the rules by somebody who had seen no code and no facts.
BLIND = ROOT / "tests/data/lmm_answers.csv"
DEV = ROOT.parent / "shared/data/lmm_answers_dev.csv"


def batch(tmp_path: Path, text: str) -> tuple[list[dict[str, str]], str]:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    into = io.StringIO()
    summary = judge_csv(path, into, judge())
    return list(csv.DictReader(io.StringIO(into.getvalue()))), summary


def test_the_taxonomy_says_which_way_leads_to_the_prediction():
    found = judge().judge("Herring Gull", "A sea-gull.")
    assert found == ("less specific", "taxonomy", ("Herring Gull", "gull"))


def test_rules_and_open_pairs_have_no_path():
    assert judge().judge("Herring Gull", "gull or tern") == ("wrong", "rules", ())
    assert judge().judge("Herring Gull", "zyzzyva quux") == (UNDECIDED, UNDECIDED, ())


def test_a_class_of_several_datasets_can_be_told_apart():
    assert judge().judge("pizza", "dish", "food101").verdict == "generic"
    assert judge().judge("pizza", "dish", "caltech101").verdict == "less specific"
    assert judge().judge("pizza", "dish").verdict == "less specific"


@pytest.mark.parametrize("prediction", ["gull", "none"])
def test_an_unknown_class_is_refused_whatever_the_prediction(prediction):
    with pytest.raises(TaxonomyError, match="'quux' of cub200 has no taxonomy entry"):
        judge().judge("quux", prediction, "cub200")


def test_every_row_and_column_of_a_file_comes_back(tmp_path):
    rows, summary = batch(
        tmp_path,
        "id,dataset,class,prediction,note\n"
        'a,cub200,Herring Gull,"gull, tern",x\n'
        "b,,Herring Gull,seagull,\n"
        'c,cub200,Herring Gull,quux,"two\nlines"\n',
    )
    assert list(rows[0]) == [
        "id",
        "dataset",
        "class",
        "prediction",
        "note",
        "verdict",
        "decided_by",
    ]
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [row["verdict"] for row in rows] == ["wrong", "less specific", UNDECIDED]
    assert [row["decided_by"] for row in rows] == ["taxonomy", "taxonomy", UNDECIDED]
    assert rows[2]["note"] == "two\nlines"
    assert summary == "3 pairs, 2 decided (0 rules, 2 taxonomy, 1 undecided)"


def test_what_a_spreadsheet_would_take_for_a_formula_begins_with_an_apostrophe(tmp_path):
    rows, _ = batch(
        tmp_path, "dataset,class,prediction,@note\n,Herring Gull,=gull,-1\n,Herring Gull,gull,-x\n"
    )
    assert [row["prediction"] for row in rows] == ["'=gull", "gull"]
    assert [row["'@note"] for row in rows] == ["-1", "'-x"]


def test_given_verdicts_are_kept_apart_and_compared(tmp_path):
    rows, summary = batch(
        tmp_path,
        "dataset,class,prediction,verdict\ncub200,Herring Gull,gull,generic\n"
        "cub200,Herring Gull,bird,generic\ncub200,Herring Gull,quux,wrong\n",
    )
    assert [(r["given_verdict"], r["verdict"]) for r in rows] == [
        ("generic", "less specific"), ("generic", "generic"), ("wrong", UNDECIDED)
    ]  # fmt: skip
    assert summary.endswith("; 1 of 2 decided as given")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,prediction\nx,y\n", "expected the columns dataset, class, prediction, no dataset"),
        ("", "expected the columns"),
        ("dataset,class,prediction\ncub200,Herring Gull\n", r"pairs\.csv:2: expected 3 fields"),
        ("dataset,class,prediction\ncub200,Herring Gull,a,b\n", r"pairs\.csv:2: expected 3 fields"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        batch(tmp_path, text)


def test_a_file_in_another_encoding_or_with_an_endless_field_is_refused(tmp_path):
    path = tmp_path / "pairs.csv"
    header = b"dataset,class,prediction\ncub200,Herring Gull,"
    for content in (header + "möwe".encode("latin-1"), header + b"x" * 200_000):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"pairs.csv:2: expected (UTF-8|CSV) "):
            judge_csv(path, io.StringIO(), judge())


def test_an_unknown_class_in_a_file_is_named_with_its_row(tmp_path):
    text = "dataset,class,prediction\ncub200,Herring Gull,gull\ncub200,quux,gull\n"
    with pytest.raises(TaxonomyError, match=r"pairs.csv:3: class 'quux' of cub200"):
        batch(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere.csv cannot be read \(No such file"):
        judge_csv(tmp_path / "nowhere.csv", io.StringIO(), judge())


def judged(path: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The rows of a labelled file, and those of them that were decided."""
    if not path.exists():
        pytest.skip(f"the labelled pairs {path} are not here")
    into = io.StringIO()
    judge_csv(path, into, judge())
    rows = list(csv.DictReader(io.StringIO(into.getvalue())))
    return rows, [row for row in rows if row["verdict"] in LABELS]


@pytest.mark.parametrize(
    ("path", "decided_at_least", "mistaken_at_most"),
    [
        pytest.param(OWN_PAIRS, 0.85, 0.03, id="ours"),
        pytest.param(PAIRS, 0.85, 0.03, id="reference"),
        pytest.param(BLIND, 0.92, 0.02, id="as models write, ours"),
        pytest.param(DEV, 0.92, 0.02, id="as models write, reference"),
    ],
)
def test_labelled_pairs_are_decided_and_right(path, decided_at_least, mistaken_at_most):
    """The share decided and the share right, of pairs labelled by hand."""
    rows, decided = judged(path)
    mistaken = [row for row in decided if row["verdict"] != row["given_verdict"]]
    assert len(decided) >= decided_at_least * len(rows)
    assert len(mistaken) <= mistaken_at_most * len(decided), mistaken
