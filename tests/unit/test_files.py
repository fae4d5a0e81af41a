import io
import re
from pathlib import Path

import polars as pl
import pytest

from speciarl.errors import DataError
from speciarl.files import (
    atomic_directory,
    atomic_write,
    content_hash,
    read_csv,
    write_csv,
    write_rows,
)


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    with pytest.raises(RuntimeError), atomic_write(path) as partial:
        partial.write_text("half")
        raise RuntimeError("interrupted")
    assert list(path.parent.iterdir()) == []
    with atomic_write(path) as partial:
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_whole_or_as_before(tmp_path):
    path = tmp_path / "model"
    with atomic_directory(path) as partial:
        (partial / "old").write_text("1")
    with pytest.raises(RuntimeError), atomic_directory(path) as partial:
        (partial / "new").write_text("2")
        raise RuntimeError("interrupted")
    assert [p.name for p in path.iterdir()] == ["old"]
    (tmp_path / ".model.part").mkdir()  # what a killed writer leaves
    (tmp_path / ".model.part/rest").write_text("3")
    with atomic_directory(path) as partial:
        (partial / "new").write_text("2")
    assert [p.name for p in path.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_hash_follows_names_bytes_and_values(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "x").write_text("1")
    first = content_hash([folder], {"seed": 1})
    assert content_hash([folder], {"seed": 1}) == first
    (folder / ".snakemake_timestamp").touch()
    assert content_hash([folder], {"seed": 1}) == first
    assert content_hash([folder], {"seed": 2}) != first
    (folder / "x").rename(folder / "y")
    assert content_hash([folder], {"seed": 1}) != first
    (folder / "y").rename(folder / "x")
    (folder / "x").write_text("2")
    assert content_hash([folder], {"seed": 1}) != first


def test_rows_of_a_csv_come_with_their_place(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b,c\r\n1,,"two\r\nlines"\r\n\r\n3,4,5\r\n')
    assert read_csv(path, ("c", "b"), may_be_empty=("b",)) == (
        ["a", "b", "c"],
        [
            (f"{path}:3", {"a": "1", "b": "", "c": "two\r\nlines"}),
            (f"{path}:5", {"a": "3", "b": "4", "c": "5"}),
        ],
    )
    path.write_text("a,b\n")
    assert read_csv(path, ("a",)) == (["a", "b"], [])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", ": expected the columns a, b, no a"),
        (b"a,c\n1,2\n", ": expected the columns a, b, no b"),
        (b"a,b\n1,2\n3\n", ":3: expected 2 fields"),
        (b"a,b\n1,2,3\n", ":2: expected 2 fields"),
        (b"a,b\n1,2\n3,\n", ":3: expected a value of b, found none"),
        (b"a,b\n1,2\nm\xf6we,3\n", ":3: expected UTF-8 (invalid start byte)"),
        (b"\xef\xbb\xbfa,b\n\xf6,3\n", ":2: expected UTF-8 (invalid start byte)"),
        (b"a,b\n1,2\n3," + b"x" * 200_000, ":3: expected CSV (field larger"),
        (None, " cannot be read (No such file or directory): restore it"),
    ],
)
def test_what_is_wrong_with_a_csv_is_named_with_its_line(tmp_path, content, fault):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_csv(path, ("a", "b"))
    assert str(raised.value).startswith(f"{path}{fault}")
    assert "\n" not in str(raised.value)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", '"\'\r=1"'),
        ('=HYPERLINK("x","y")', '"\'=HYPERLINK(""x"",""y"")"'),
        ("gull", "gull"),
        ("a=b", "a=b"),
        ("'=1", "'=1"),
        ("", '""'),
        (None, ""),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        ("-inf", "-inf"),
        ("-1.2.3", "'-1.2.3"),
    ],
)
def test_no_cell_and_no_name_of_a_column_is_a_formula(text, written):
    into = io.StringIO()
    write_rows(pl.DataFrame({"n": [1], "said": [text]}, {"n": pl.Int64, "said": pl.String}), into)
    assert into.getvalue() == f"n,said\n1,{written}\n"
    if text:
        into = io.StringIO()
        write_rows(pl.DataFrame({"n": [-1.5], text: pl.Series(["x"], dtype=pl.Categorical)}), into)
        assert into.getvalue() == f"n,{written}\n-1.5,x\n"


def test_a_terminal_gets_no_control_characters_and_a_file_all():
    table = pl.DataFrame({"\x1b[31m": ["a\x9b2J\u202e\n", None]})
    shown, kept = Terminal(), io.StringIO()
    for into in (shown, kept):
        write_rows(table, into)
    assert shown.getvalue() == "\\x1b[31m\na\\x9b2J\\u202e\\n\n\n"
    assert "\x9b" in kept.getvalue()


def test_a_table_is_written_with_four_decimals_and_nothing_where_undefined(tmp_path):
    write_csv(pl.DataFrame({"run": ["=x", None], "hm": [0.123456, None]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "run,hm\n'=x,0.1235\n,\n"


def test_nothing_else_of_ours_writes_csv():
    """What does would have to mind formulas and control characters itself."""
    root = Path(__file__).parents[2]
    sources = [p for name in ("speciarl", "workflow") for p in (root / name).rglob("*.py")]
    writing = re.compile(r"\.write_csv\(|csv\.(Dict)?[wW]riter\(|\.to_csv\(")
    assert [p.name for p in sources if writing.search(p.read_text("utf-8"))] == ["files.py"]
