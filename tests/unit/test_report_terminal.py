"""Tables on the terminal: the main one, and any frame."""

import io

import polars as pl
import pytest
from rich.console import Console

from speciarl.report.tables import main_table, over_seeds
from speciarl.report.terminal import WIDTH, print_main_table, print_table
from tests.report_input import GROUPS, PREDICTIONS, PUBLISHED, RUNS, hms, scored


def printed(show, frame: pl.DataFrame, width: int | None = None) -> list[str]:
    """The lines on a terminal of that width, or in a file."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=bool(width), color_system=None
    )
    show(frame, console)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.fixture(scope="module")
def main() -> pl.DataFrame:
    scores = scored(PREDICTIONS, GROUPS, ["flowers102", "food101"]).scores
    return main_table(over_seeds(scores), RUNS, PUBLISHED)


def test_the_main_table_is_readable(main):
    lines = printed(print_main_table, main)
    assert len(lines) == 5 + 2 * len(RUNS)
    assert "unseen datasets" in lines[len(RUNS) + 3]
    assert max(map(len, lines)) <= WIDTH
    assert "fine-grained" in lines[0]
    hm = ["0.300", "1.000", "0.462"]
    assert lines[2].split() == ["zero_shot", *hm, "0.400-0.529", *hm, "0.413-0.507", "0.790"]
    assert lines[1].endswith("HM  95 % interval  paper HM")
    assert lines[2].endswith("0.462    0.413-0.507     0.790")


def test_groups_wrap_and_names_are_cut():
    runs = ["a_run_with_a_name_of_forty_two_characters_"]
    scores = pl.concat([hms(f"group {i}", **{runs[0]: 0.5}) for i in range(6)])
    lines = printed(print_main_table, main_table(scores, runs, PUBLISHED))
    assert max(map(len, lines)) <= WIDTH
    assert all(f"group {i}" in "\n".join(lines) for i in range(6))
    assert [len(line.split()[0]) for line in lines if "…" in line] == [24] * 3


def test_the_main_table_from_a_file_with_nothing_defined(tmp_path):
    main = main_table(hms("fine-grained", zero_shot=None), ["zero_shot"], PUBLISHED)
    main.write_csv(tmp_path / "main.csv")
    lines = printed(print_main_table, pl.read_csv(tmp_path / "main.csv"))
    assert lines[-1].split() == ["zero_shot", "-", "-", "-", "-", "0.790"]


def test_a_narrow_terminal_cuts_names_and_no_metric(main):
    lines = printed(print_main_table, main, width=50)
    assert max(map(len, lines)) <= 50
    text = "\n".join(lines)
    assert text.count("0.462") == 3 and text.count("0.790") == 1 and "zer" in text


@pytest.mark.parametrize("show", [print_main_table, print_table])
def test_names_are_shown_as_they_stand(show):
    hostile = "[red]a\x1b[31m\u202eb\n"
    frame = main_table(hms("[bold]g", **{hostile: 0.5}), [hostile], PUBLISHED)
    for width in (None, 160):
        text = "\n".join(printed(show, frame, width))
        assert "[bold]g" in text
        assert "[red]a\\x1b[31m\\u202eb\\n" in text


def test_a_frame_in_a_file_is_whole():
    frame = pl.DataFrame(
        {"class": ["Gull"], "prediction": ["bird " * 60], "n": [3], "share": [0.5]}
    )
    lines = [line for line in printed(print_table, frame) if line]
    assert [line.split("|")[1].strip() for line in lines[::2]] == ["class", "Gull"]
    assert len(lines) == 3 and lines[2].endswith("| 3 | 0.500 |") and "bird " * 59 in lines[2]


def test_a_frame_on_a_terminal_folds():
    frame = pl.DataFrame({"class": ["Gull"], "prediction": ["bird" * 60], "none": [None]})
    lines = printed(print_table, frame, width=60)
    assert max(map(len, lines)) <= 60
    cells = [line.split("|")[2].strip() for line in lines if line.count("|") == 4]
    assert "".join(cells[2:]) == "bird" * 60
