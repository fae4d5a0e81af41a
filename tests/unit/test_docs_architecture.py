"""docs/architecture.md: the map lists every module once, and no import goes up a floor."""

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "speciarl"
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
FLOORS = [
    line.split() for line in reversed(re.search(r"```text\n(.*?)```", PAGE, re.S)[1].splitlines())
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}


def trees() -> dict[str, ast.Module]:
    """Every module by its path in the library, but those that are nothing but a docstring."""
    paths = {path.relative_to(LIBRARY).as_posix(): path for path in LIBRARY.rglob("*.py")}
    parsed = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in paths.items()}
    return {name: tree for name, tree in parsed.items() if len(tree.body) > 1}


def imports(tree: ast.Module) -> set[str]:
    """The modules of the library that a module imports, inside functions included."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "speciarl":
            found |= {f"speciarl.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.startswith("speciarl.")}


def test_every_module_is_listed_once():
    listed = Counter(re.findall(r"^- `([\w/]+\.py)`: \S", PAGE, re.MULTILINE))
    assert listed == Counter(list(trees()))


def test_every_file_that_the_ten_steps_name_exists():
    steps = PAGE[PAGE.index("in ten steps") : PAGE.index("## The modules")]
    assert re.findall(r"^(\d+)\. ", steps, re.MULTILINE) == [str(n) for n in range(1, 11)]
    named = re.findall(r"`([\w/]+\.py)`", steps)
    assert named
    for name in named:  # those beside the one named before them stand without their folder
        assert (LIBRARY / name).is_file() or (LIBRARY / "verifiers" / name).is_file(), name


def test_no_import_goes_up_a_floor():
    assert sum(map(len, FLOORS)) == len(FLOOR_OF)
    upward = set()
    for path, tree in trees().items():
        room = path.partition("/")[0].removesuffix(".py")
        if room == "__init__":
            continue
        for imported in imports(tree):
            if FLOOR_OF[imported.split(".")[1]] > FLOOR_OF[room]:
                upward.add((room, imported))
    assert not upward


def test_the_store_knows_no_verifier():
    modules = {
        name
        for path, tree in trees().items()
        if path.startswith("cache/")
        for name in imports(tree)
    }
    assert {name.split(".")[1] for name in modules} == {
        "cache",
        "disk",
        "errors",
        "files",
        "verdicts",
    }
