import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from speciarl.cache import VerdictCache
from speciarl.progress import Progress, duration
from speciarl.stage import stage
from speciarl.verdicts import Judgment, Pair, Verdict

ROOT = Path(__file__).parents[2]


def speciarl(*arguments, code=0, cwd=ROOT):
    command = [sys.executable, "-c", "from speciarl.cli.main import main; main()", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_help_names_the_commands_and_loads_nothing_heavy():
    probe = (
        "import sys, speciarl.cli; print(sorted({'torch', 'polars', 'duckdb'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"
    text = speciarl("--help")
    assert all(name in text for name in ("check", "table", "verdicts"))


def test_check_accepts_the_file_and_names_what_is_wrong(tmp_path):
    assert "valid" in speciarl("check", "params.yaml")
    (tmp_path / "over.yaml").write_text("grpo: {steps: 0}")
    line = speciarl("check", "params.yaml", str(tmp_path / "over.yaml"), code=1)
    assert line.startswith("error: params: grpo.steps is 0") and line.count("\n") == 1
    assert "nowhere.yaml" in speciarl("check", "nowhere.yaml", code=1)


def test_check_of_paths_names_the_folder_that_is_not_there(tmp_path):
    folders = "datasets: {folders: {garden: {path: images/of/nothing}}}"
    (tmp_path / "over.yaml").write_text(folders)
    files = ("params.yaml", str(tmp_path / "over.yaml"))
    assert "valid" in speciarl("check", *files)
    line = speciarl("check", "--paths", *files, code=1)
    assert "datasets.folders.garden.path" in line and "images/of/nothing" in line
    assert line.count("\n") == 1


def test_sql_prints_rows_and_refuses_in_one_line(tmp_path):
    store = tmp_path / "cache.duckdb"
    cache = VerdictCache(store, {"verifier": "t"}, "r")
    cache.put({Pair("Gull", "bird"): Judgment(Verdict.GENERIC, "t")})
    query = "SELECT class, prediction, verdict FROM verdicts"
    options = ("--store", str(store))
    assert speciarl("verdicts", "sql", query, *options) == (
        "class,prediction,verdict\nGull,bird,generic\n"
    )
    assert speciarl("verdicts", "sql", "SELEC", *options, code=1).count("\n") == 1
    twice = "SELECT class, class FROM verdicts"
    assert speciarl("verdicts", "sql", twice, *options) == "class,class_1\nGull,Gull\n"
    assert speciarl("verdicts", "sql", f"{query} WHERE false", *options) == (
        "class,prediction,verdict\n"
    )
    assert "expected one SELECT" in speciarl("verdicts", "sql", "", *options, code=1)
    values = "SELECT INTERVAL 1 DAY AS d, [1, 2] AS l, '\\xAAx'::BLOB AS b, NULL AS n, '' AS e"
    text = speciarl("verdicts", "sql", values, *options)
    assert text == 'd,l,b,n,e\n1 day,"[1, 2]",\\xAAx,,""\n'
    assert "nothing.duckdb" in speciarl(
        "verdicts", "sql", query, "--store", str(tmp_path / "nothing.duckdb"), code=1
    )
    duckdb.connect(str(tmp_path / "empty.duckdb")).close()
    line = speciarl("verdicts", "sql", query, "--store", str(tmp_path / "empty.duckdb"), code=1)
    assert "empty.duckdb is no verdict store" in line and line.count("\n") == 1


def test_json_commands_no_terminal_and_says_the_same():
    said = "a \x1b[31m dog\x7f \x9b31m \u202e spitz \u2028 Gr\u00fc\u00dfe"
    line = speciarl("judge", "samoyed", said, "--json")
    assert line.rstrip("\n").isprintable() and "Gr\u00fc\u00dfe" in line
    assert json.loads(line)["prediction"] == said


def test_judge_says_what_decided(tmp_path):
    assert speciarl("judge", "Herring Gull", "a sea gull") == (
        "less specific\ndecided by: taxonomy\nread as: a sea gull\nnames: gull (less specific)\n"
        "path: Herring Gull > gull\n"
    )
    found = json.loads(speciarl("judge", "pizza", "dish", "--dataset", "food101", "--json"))
    assert (found["verdict"], found["decided_by"]) == ("generic", "taxonomy")
    assert found["path"] == ["pizza", "food"]
    assert "'quux'" in speciarl("judge", "quux", "gull", code=1)
    (tmp_path / "pairs.csv").write_text("dataset,class,prediction\ncub200,Herring Gull,bird\n")
    assert speciarl("judge", "--batch", str(tmp_path / "pairs.csv")) == (
        "dataset,class,prediction,verdict,decided_by\ncub200,Herring Gull,bird,generic,taxonomy\n"
    )
    assert "--batch" in speciarl("judge", "Herring Gull", code=2)
    assert "--batch" in speciarl("judge", "Herring Gull", "--batch", "pairs.csv", code=2)


def test_taxonomy_show_prints_a_class_of_every_dataset_that_has_it():
    text = speciarl("taxonomy", "show", "lotus")
    assert "lotus (flowers102)" in text and "lotus (caltech101)" in text
    (line,) = speciarl("taxonomy", "show", "samoyed", "--json").splitlines()
    assert "spitz" in json.loads(line)["near"]
    assert "'quux'" in speciarl("taxonomy", "show", "quux", code=1)


def test_another_table_than_the_main_one_is_printed_whole(tmp_path):
    (tmp_path / "robustness.csv").write_text("base_seed,run,ahead\n0,rft,0.0321\n1,speciarl,\n")
    lines = speciarl("table", "robustness.csv", cwd=tmp_path).splitlines()
    cells = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.strip()
    ]
    assert cells[0] == ["base_seed", "run", "ahead"]
    assert cells[2:] == [["0", "rft", "0.032"], ["1", "speciarl", "-"]]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2,3\n"])
def test_a_table_that_is_none_is_one_line(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    line = speciarl("table", "t.csv", cwd=tmp_path, code=1)
    assert line.startswith("error: t.csv cannot be read as CSV") and line.count("\n") == 1


def test_a_table_that_was_not_made_says_what_to_run(tmp_path):
    assert "snakemake" in speciarl("table", cwd=tmp_path, code=1)


def test_what_is_started_by_hand_keeps_the_logs_of_earlier_starts(tmp_path):
    log = tmp_path / "one.log"
    for said, alone in {"first": False, "second": True, "third": True}.items():
        with stage(str(log), alone=alone):
            print(said)
    assert log.read_text().split() == ["first", "second", "third"]
    with stage(str(log)):
        print("fresh")
    assert log.read_text().split() == ["fresh"]


@pytest.mark.parametrize(
    ("fault", "line"),
    [("DataError('no archive')", "error: no archive"), ("ValueError('ours')", "fault: ValueError")],
)
def test_a_failing_stage_leaves_one_line_and_its_log(tmp_path, fault, line):
    script = (
        "from speciarl.stage import stage\nfrom speciarl.errors import DataError\n"
        f"with stage('one.log'):\n    print('working')\n    raise {fault}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1
    log = (tmp_path / "one.log").read_text()
    assert log.startswith("working\n")
    assert ("Traceback" in log) == line.startswith("fault")


def test_ctrl_c_leaves_a_line_in_the_log_of_a_stage_and_none_on_the_terminal(tmp_path):
    script = (
        "from speciarl.stage import stage\n"
        "import time\nwith stage('one.log'):\n"
        "    print('working', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    log, deadline = tmp_path / "one.log", time.monotonic() + 30
    while time.monotonic() < deadline and not (log.is_file() and log.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 130
    assert log.read_text() == "working\ninterrupted\n"


def test_a_stage_gives_the_streams_back(tmp_path, capsys):
    with stage(str(tmp_path / "log")):
        print("inside")
    print("outside")
    assert capsys.readouterr().out == "outside\n"


def test_a_stage_says_how_far_it_is_and_when_it_is_finished(tmp_path):
    script = (
        "from speciarl import progress\nfrom speciarl.stage import stage\n"
        "progress.EVERY = 0\n"
        "with stage('logs/train/rft.log'):\n"
        "    print('chatter')\n"
        "    assert [*progress.track('abc', 'letters', 3)] == [*'abc']\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout == ""
    lines = [line.split(maxsplit=1) for line in done.stderr.splitlines()]
    assert {name for name, _ in lines} == {"train/rft"}
    counts = [f"{n} of 3 letters, 0 s left" for n in (1, 2, 3)]
    assert [text for _, text in lines] == [*counts, "0 s"]
    log = (tmp_path / "logs/train/rft.log").read_text()
    assert "chatter" in log and all(text in log for text in counts)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (4200, "1 h 10 min")],
)
def test_a_duration_is_read_at_a_glance(seconds, text):
    assert duration(seconds) == text


def test_the_time_left_counts_from_where_an_earlier_start_was(monkeypatch, capsys):
    clock = SimpleNamespace(monotonic=iter([100.0, 110.0, 140.0]).__next__)
    monkeypatch.setattr("speciarl.progress.time", clock)
    progress = Progress("steps", total=100, done=50)
    progress.reached(60)  # ten seconds later, which is too soon for a line
    progress.reached(70, "reward 0.52, 41% specific")
    said = "70 of 100 steps, reward 0.52, 41% specific, 1 min 00 s left\n"
    assert capsys.readouterr().err == said


def on_a_terminal(script, code=0):
    """What a script writes to a terminal of 100 columns."""
    control, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": "100", "TERM": "xterm"}
    command = [sys.executable, "-c", script]
    done = subprocess.Popen(command, stderr=terminal, stdout=terminal, env=environment)
    os.close(terminal)
    said = b""
    with contextlib.suppress(OSError):  # which ends it, on Linux
        while read := os.read(control, 4096):
            said += read
    os.close(control)
    assert done.wait() == code
    return said.decode()


def test_by_hand_a_terminal_gets_a_bar_and_its_cursor_back_before_an_error(tmp_path):
    log = tmp_path / "logs/rft.log"
    said = on_a_terminal(
        "from speciarl.errors import DataError\n"
        "from speciarl.progress import Progress\nfrom speciarl.stage import stage\n"
        f"with stage({str(log)!r}, alone=True):\n"
        "    progress = Progress('steps', 3, 1)\n"
        "    print('chatter')\n"
        "    progress.reached(2, 'reward 0.52, 41% specific')\n"
        "    raise DataError('no such image')\n",
        code=1,
    )
    assert "2/3" in said and "reward 0.52, 41% specific" in said and "chatter" not in said
    assert said.index("\x1b[?25l") < said.rindex("\x1b[?25h") < said.index("error: no such image")
    assert log.read_text() == "chatter\nno such image\n"


def test_a_stage_shares_the_terminal_and_draws_no_bar(tmp_path):
    said = on_a_terminal(
        "from speciarl import progress\nfrom speciarl.stage import stage\n"
        "progress.EVERY = 0\n"
        f"with stage({str(tmp_path / 'logs/rft.log')!r}):\n"
        "    progress.Progress('steps', 3).reached(2, 'reward 0.52')\n"
    )
    assert "2 of 3 steps, reward 0.52, 0 s left" in said and "\x1b" not in said


def test_the_facts_come_with_the_package_and_a_folder_of_custom_ones_goes_before(tmp_path):
    arguments = ("judge", "samoyed", "a spitz")
    assert speciarl(*arguments, cwd=tmp_path).startswith("less specific\n")
    own = tmp_path / "data/taxonomies/oxford_pets.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("dataset: oxford_pets\nclasses:\n  samoyed: {synonyms: [spitz]}\n")
    assert speciarl(*arguments, cwd=tmp_path).startswith("specific\n")
