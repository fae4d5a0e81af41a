"""A policy on custom images: what several samples agree on, and the command, with a tiny model."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from speciarl.cli.main import app
from speciarl.errors import ConfigError, DataError
from speciarl.evaluation.classify import agreement
from speciarl.taxonomy import Taxonomy
from tests import tiny

TAXONOMY = Taxonomy.load_all()


@pytest.mark.parametrize(
    ("said", "answer", "agreed", "confidence"),
    [
        (["Samoyed"] * 4, "Samoyed", "samoyed", 1.0),
        (["Samoyed", "samoyed", "a Samoyed", "Beagle"], "Samoyed", "samoyed", 0.75),
        (["Samoyed", "Beagle", "Samoyed", "Beagle"], "Samoyed", "medium dog", 1.0),
        (["Samoyed", "a dog", "a dog", "Beagle"], "a dog", "dog", 1.0),
        (["Samoyed", "a dog", "Artic Tern", "a tern"], "Samoyed", "vertebrate", 1.0),
        (["A340-200", "A340-300", "A340-300", None], "A340-300", "Airbus A340", 0.75),
        (["Samoyed", None, None, None], "Samoyed", None, None),
        ([None, None], None, None, None),
        (["flurble", "Flurble.", "zork"], "flurble", "flurble", 2 / 3),
        (["flurble", "zork", "Samoyed"], "flurble", None, None),
    ],
)
def test_samples_agree_on_the_narrowest_thing_that_most_of_them_name(
    said, answer, agreed, confidence
):
    found = agreement(said, TAXONOMY)
    assert found[:2] == (answer, agreed)
    assert found[2] == (confidence if confidence is None else pytest.approx(confidence))


def test_the_lineage_of_a_prediction_is_what_it_is_a_kind_of():
    found = TAXONOMY.lineage("it looks like a Samoyed")
    kin = TAXONOMY.describe("samoyed", "oxford_pets")[0]
    assert set(found) == {kin.name, *kin.near, *kin.far}
    assert max(found, key=found.__getitem__) == kin.name
    assert found["dog"] < found["samoyed"] and found["animal"] < found["dog"]
    assert {"big cat", "car"} < set(TAXONOMY.lineage("jaguar"))
    assert TAXONOMY.lineage("flurble") == TAXONOMY.lineage("") == {}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A tiny policy, and a folder of two images of birds, one that is none, and a text."""
    folder = tiny.create(tmp_path_factory.mktemp("classify") / "project")
    (folder / "models/zero_shot/42").mkdir(parents=True)
    own = folder / "own/deeper"
    own.mkdir(parents=True)
    (folder / "images/0.png").rename(own / "b.png")
    (folder / "images/1.png").rename(folder / "own/a.PNG")
    (own / "bad.jpg").write_text("no image")
    (own / "notes.txt").write_text("left out")
    return folder


def run(project, monkeypatch, *arguments):
    monkeypatch.chdir(project)
    command = ["classify", "--run", "zero_shot", *arguments]
    return CliRunner().invoke(app, command, catch_exceptions=False)


def test_every_image_has_a_line_and_the_bad_one_a_name(project, monkeypatch):
    done = run(project, monkeypatch, "own", "nowhere.png", "--json", "--n", "6")
    assert done.exit_code == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["image"] for row in rows] == [
        "own/a.PNG", "own/deeper/b.png", "own/deeper/bad.jpg", "nowhere.png",
    ]  # fmt: skip
    assert [bool(row["error"]) for row in rows] == [False, False, True, True]
    assert "unreadable" in rows[2]["error"] and "missing" in rows[3]["error"]
    assert "2 of 4 images could not be read" in done.stderr
    for row in rows[:2]:
        assert row["confidence"] * 6 == pytest.approx(round(row["confidence"] * 6))
        assert row["confidence"] > 0.5
        assert row["agreed"] in TAXONOMY.lineage(row["answer"]) and "bird" in TAXONOMY.lineage(
            row["answer"]
        )


def test_a_single_sample_is_greedy_and_has_no_confidence(project, monkeypatch):
    first, second = (run(project, monkeypatch, "own/a.PNG", "--n", "1") for _ in range(2))
    assert first.exit_code == 0 and first.stdout == second.stdout
    assert first.stdout.startswith("own/a.PNG: ") and "agree" not in first.stdout
    several = run(project, monkeypatch, "own/a.PNG", "--n", "4")
    assert "% agree on " in several.stdout and several.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["data"], DataError, "data holds no images: expected .bmp, "),
        (["own", "--run", "none"], ConfigError, "none is not one of the runs: zero_shot, sft"),
        (["own", "--run", "sft"], DataError, "models/sft/42 is not there: run `snakemake "),
    ],
)
def test_what_cannot_start_is_one_line(project, monkeypatch, arguments, kind, said):
    with pytest.raises(kind, match=said):
        run(project, monkeypatch, *arguments)


@pytest.mark.parametrize("command", ["classify", "compare", "predictions sql"])
def test_help_and_what_cannot_start_do_not_load_torch(command, tmp_path):
    code = (
        "import sys\nfrom speciarl.cli.main import app\n"
        f"for more in (['--help'], ['x', 'y']):\n"
        f"    try: app([*{command.split()!r}, *more])\n"
        "    except BaseException as ended: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
