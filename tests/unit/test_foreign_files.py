"""Parquet files from outside: what is damaged is refused in one line, and the process lives on.

The reader of polars aborts Python on some of them, which would end this file of tests, too.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from speciarl.cache import VerdictCache
from speciarl.cache.store import opened
from speciarl.cache.transfer import export_store, import_file
from speciarl.cli.main import app
from speciarl.errors import SpeciaRLError
from speciarl.files import read_foreign_parquet
from speciarl.schemas import PREDICTIONS
from speciarl.verdicts import Judgment, Pair, Verdict
from speciarl.verifiers.precompute import pairs_seen

ROOT = Path(__file__).parents[2]
ABORTING = ROOT.parent / "shared/inputs/parquet/polars_abort.parquet"
RELATIONS = pl.DataFrame({"dataset": ["birds"] * 2, "class_name": ["Gull", "Jay"]})
SAID = pl.DataFrame({"class_name": ["Gull"] * 3, "prediction": ["gull", "bird", None]})
TRAINED = pl.DataFrame([(1, "Gull", "bird", "generic", 3)], PREDICTIONS, orient="row")


def exported(path: Path) -> None:
    cache = VerdictCache(path.with_name("from.duckdb"), {"verifier": "t"}, "r")
    cache.put({Pair("Gull", said): Judgment(Verdict.GENERIC, "t") for said in ("bird", "animal")})
    export_store(path.with_name("from.duckdb"), path)


def run(*arguments: object) -> None:
    done = CliRunner().invoke(app, ["verdicts", *map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception


def imports(path: Path) -> None:
    import_file(path.with_name("into.duckdb"), path)


def audits(path: Path) -> None:
    store = path.with_name("any.duckdb")
    with opened(store):  # which makes it
        assert store.is_file()
    run("audit", "--training", path.parents[1], "--store", store)


def precomputes(path: Path) -> None:
    """With relations from outside; there is no params.yaml, which is read before them."""
    (path.parent / "r/42").mkdir(parents=True, exist_ok=True)
    SAID.write_parquet(path.parent / "r/42/birds.parquet")
    options = ("--taxonomy", path, "--params", ROOT / "params.yaml")
    run("precompute", path.parent, *options, "--store", path.with_name("into.duckdb"))


# How a file gets in: its name, what makes a good one, and what reads it.
WAYS = {
    "import": ("x.parquet", exported, imports),
    "predictions seen": ("x.parquet", SAID.write_parquet, lambda path: pairs_seen([path])),
    "relations": ("x.parquet", RELATIONS.write_parquet, precomputes),
    "audit": ("training/run/predictions.parquet", TRAINED.write_parquet, audits),
}


def damaged(good: bytes) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    found = {"empty": b"", "no parquet": b"PAR1 no table PAR1", "cut": good[: len(good) // 2]}
    for n, place in enumerate(rng.choice(len(good), 25, replace=False)):
        broken = bytearray(good)
        broken[place] ^= 0xFF
        found[f"flipped {n}"] = bytes(broken)
    return found | ({"aborting": ABORTING.read_bytes()} if ABORTING.exists() else {})


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_file_is_one_line_and_the_process_lives(way: str, tmp_path: Path) -> None:
    name, write, read = WAYS[way]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    read(path)
    refused = set()
    for kind, content in damaged(path.read_bytes()).items():
        path.write_bytes(content)
        try:
            read(path)
        except SpeciaRLError as error:
            refused.add(kind)
            assert "\n" not in str(error) and str(path) in str(error)
    assert {"empty", "no parquet", "cut"} <= refused and len(refused) > 10


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1]}, "expected the column 'class_name', which is not there"),
        ({"class_name": [["x"]], "prediction": ["y"]}, "cannot be read as parquet"),
        ({"class_name": [b"\xff"], "prediction": ["y"]}, "cannot be read as parquet"),
    ],
)
def test_a_table_of_something_else_is_one_line(columns: dict, message: str, tmp_path: Path) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(SpeciaRLError, match=message) as refused:
        pairs_seen([tmp_path / "x.parquet"])
    assert "\n" not in str(refused.value)


def test_types_are_those_that_were_asked_for(tmp_path: Path) -> None:
    names = pl.DataFrame({"name": pl.Series(["a"], dtype=pl.Categorical), "more": [1]})
    names.write_parquet(tmp_path / "x.parquet")
    found = read_foreign_parquet(tmp_path / "x.parquet", {"name": pl.String})
    assert found.schema == {"name": pl.String} and found.rows() == [("a",)]
