"""The floors of the library: nothing imports what stands above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

LIBRARY = Path(__file__).parents[2] / "speciarl"
FLOORS = (
    ("errors", "files", "verdicts", "answers", "prompts", "progress", "schemas"),
    ("stage", "rewards", "config", "datasets", "taxonomy", "cache"),
    ("verifiers", "policy"),
    ("training", "evaluation"),
    ("report",),
    ("cli", "versioning"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports(source: str) -> Iterator[str]:
    """Rooms of the library that a module's text imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [node.module or ""]
            if node.module == "speciarl":
                names = [f"speciarl.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "speciarl" and rest:
                yield rest.split(".")[0]


def arrows() -> set[tuple[str, str]]:
    """From each room to the others that it imports."""
    found = set()
    for path in LIBRARY.rglob("*.py"):
        room = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
        if room != "__init__":
            found |= {(room, other) for other in imports(path.read_text()) if other != room}
    return found


def test_every_room_has_a_floor():
    rooms = {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"}
    rooms |= {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert rooms == set(FLOOR_OF)


def test_nothing_imports_upwards():
    upwards = {(room, other) for room, other in arrows() if FLOOR_OF[other] > FLOOR_OF[room]}
    assert not upwards


def test_the_store_knows_no_verifier():
    below = {other for room, other in arrows() if room == "cache"}
    assert below == {"errors", "files", "verdicts"}


def test_imports_are_seen_in_every_form():
    text = """
import os, speciarl.a.b
from speciarl import c, d
from speciarl.e.f import g

def later():
    from speciarl.h import i
"""
    assert sorted(imports(text)) == ["a", "c", "d", "e", "h"]
