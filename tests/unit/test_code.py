"""The code of a stage: what of it counts, and that no import or file beside a module is missed."""

import pytest

from speciarl import code
from speciarl.code import code_of, others

FILES = {
    "__init__.py": "version = 1",
    "config/__init__.py": "from thing import rewards",
    "rewards.py": "x = 1",
    "late.py": "from pathlib import Path\n\nTABLE = Path(__file__).with_name('table.csv')",
    "table.csv": "a,b",
    "deep/__init__.py": "",
    "deep/prompts.py": "from pathlib import Path\nPOOL = Path(__file__).with_name('pool')",
    "deep/pool/one.txt": "one",
    "deep/pool/two.txt": "two",
    "wide/__init__.py": "from pathlib import Path\nALL = Path(__file__).parent.glob('*')",
    "wide/rows.csv": "1,2",
    "idle.py": "never = 'imported'",
}
SCRIPT = """
import thing.config
from thing.deep import prompts

def later():
    from thing import late, wide
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes the package anew and gives the code of its script."""
    for cached in (code._source, code._modules, code.name_of):
        monkeypatch.setattr(code, cached.__name__, cached.__wrapped__)
    monkeypatch.setattr(code, "PACKAGE", tmp_path / "thing")
    monkeypatch.setattr(code, "NEUTRAL", ("thing/__init__.py", "thing/config/"))

    def of(without=(), script=SCRIPT, **changed):
        for name, text in (FILES | changed.pop("files", {})).items():
            path = tmp_path / "thing" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "stage.py").write_text(script)
        return code_of(tmp_path / "stage.py", without)

    return of


def test_imports_are_followed_into_functions_and_files_beside_modules_count(package):
    assert list(package()) == [
        "thing/deep/__init__.py",
        "thing/deep/pool/one.txt",
        "thing/deep/pool/two.txt",
        "thing/deep/prompts.py",
        "thing/late.py",
        "thing/table.csv",
        "thing/wide/__init__.py",
        "thing/wide/rows.csv",
        "workflow/scripts/stage.py",
    ]


def test_what_a_job_does_not_read_is_left_out_with_all_that_only_it_leads_to(package):
    package()
    unread = {"thing/late.py", *others("thing/deep/pool", "two")}
    assert list(package(unread)) == [
        "thing/deep/__init__.py",
        "thing/deep/pool/two.txt",
        "thing/deep/prompts.py",
        "thing/wide/__init__.py",
        "thing/wide/rows.csv",
        "workflow/scripts/stage.py",
    ]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("x = 1\n", False),
        ('"""What it is."""\n\nx = 1', False),
        ("# why\nx = 1\n    # indented", False),
        ("x = 2", True),
        ("x = 1  # why", True),
        ('x = 1\ny = """\n# no comment\n"""', True),
    ],
)
def test_what_of_a_module_counts(package, text, counts):
    script = "import thing.rewards"
    before, after = package(script=script), package(script=script, files={"rewards.py": text})
    assert (before != after) == counts


def test_a_comment_within_a_string_counts(package):
    one, other = (
        package(script="import thing.rewards", files={"rewards.py": f'x = """\n# {n}\n"""'})
        for n in (1, 2)
    )
    assert one != other


@pytest.mark.parametrize(
    "statement", ["def f():\n    {}\n    return 1", "class C:\n    {}\n    y = 1"]
)
def test_docstrings_within_do_not_count(package, statement):
    found = [
        package(script="import thing.rewards", files={"rewards.py": statement.format(text)})
        for text in ('"""One."""', '"""Two,\n\n    at length.\n    """')
    ]
    assert found[0] == found[1]
