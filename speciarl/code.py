"""The code that a stage runs, file by file: what has to rerun it when it changes.

The list is computed from the imports of the stage's script, those inside functions included, and
from the files that modules name beside themselves, as `Path(__file__).with_name("page.html")`.
tests/workflow/test_reruns.py compares it with what the stages really import and open.
"""

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).parent
NEUTRAL = tuple(
    f"{PACKAGE.name}/{name}"
    for name in ("__init__.py", "config/", "errors.py", "paths.py", "stage.py", "progress.py",
                 "taxonomy/data/", "code.py")
)  # fmt: skip
"""What changes no outcome: the version, messages, places, the parameters, whose values rules watch,
the facts, which are inputs of the stages that read them, and this file."""


class Source(NamedTuple):
    """What one file is, and what it leads to."""

    digest: str
    leads_to: tuple[Path, ...]


def code_of(script: Path, without: Collection[str] = ()) -> dict[str, str]:
    """Path and short hash of every file of the package that a script reads, and of itself.

    Args:
        script: a stage's script.
        without: paths that this job does not read, nor what is imported only from there
            ("speciarl/training/grpo.py").

    Returns:
        Sorted by path; comments, docstrings and empty lines do not change a hash.
    """
    found: dict[str, str] = {}
    queue = [script.resolve()]
    while queue:
        path = queue.pop()
        name = name_of(path)
        if name in found or name in without or name.startswith(NEUTRAL):
            continue
        source = _source(path)
        found[name] = source.digest
        queue += source.leads_to
    return dict(sorted(found.items()))


@cache
def others(folder: str, *names: str) -> frozenset[str]:
    """The files of a folder of the package that are called otherwise than one of the names."""
    files = [path for path in (PACKAGE.parent / folder).iterdir() if path.is_file()]
    return frozenset(name_of(path) for path in files if path.stem not in (*names, "__init__"))


def other_prompts(policy: Iterable[str] = (), judge: Iterable[str] = ()) -> set[str]:
    """All prompts but those of the names."""
    read = {"policy": policy, "judge": judge, "measures": judge}
    found = (others(f"speciarl/prompts/{pool}", *names) for pool, names in read.items())
    return {name for names in found for name in names}


def unread_by_judge(model: Any, policy: Iterable[str] = ()) -> set[str]:
    """The prompts and the code of language models that a verifier, or judge, is not made of.

    Args:
        model: its own, as the parameters have it, or None.
        policy: the prompts of the policy that the job reads.
    """
    by_kind = {"directory": {"local"}, "server": {"llm", "client"}}
    idle = {n for kind, names in by_kind.items() if not model or kind != model.kind for n in names}
    prompts = other_prompts(policy, [model.prompt] if model else [])
    return prompts | {f"speciarl/verifiers/{name}.py" for name in idle}


@cache
def name_of(path: Path) -> str:
    """The path of a file of the package, or the name of a script."""
    if path.is_relative_to(PACKAGE):
        return path.relative_to(PACKAGE.parent).as_posix()
    return f"workflow/scripts/{path.name}"


@cache
def _source(path: Path) -> Source:
    content = path.read_bytes()
    if path.suffix != ".py":
        return Source(_digest(content), ())
    tree = ast.parse(content, path)
    nodes = list(ast.walk(tree))
    leads = [file for node in nodes for name in _imported(node) for file in _modules(name)]
    if b"__file__" in content:
        leads += _beside(nodes, path)
    return Source(_digest(_bare(content.decode(), nodes).encode()), tuple(dict.fromkeys(leads)))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def _bare(text: str, nodes: Sequence[ast.AST]) -> str:
    """The text without empty lines, comments on lines of their own, and docstrings."""
    within: set[int] = set()  # lines that begin inside a string, where # is no comment
    documents: set[int] = set()
    for node in nodes:
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=int(last)):
                documents.update(range(first, last + 1))
            case (ast.Constant(value=str()) | ast.JoinedStr()) as string:
                within.update(range(string.lineno + 1, (string.end_lineno or 0) + 1))
    return "\n".join(
        line
        for number, line in enumerate(text.splitlines(), 1)
        if number not in documents
        and (number in within or (line.strip() and not line.lstrip().startswith("#")))
    )


def _imported(node: ast.AST) -> Sequence[str]:
    match node:
        case ast.Import(names):
            return [alias.name for alias in names]
        case ast.ImportFrom(str(module), names):
            return [f"{module}.{alias.name}" for alias in names]
    return ()


def _beside(nodes: Iterable[ast.AST], here: Path) -> Iterator[Path]:
    """The files that `with_name` or `parent` of Path(__file__) names, all of a folder."""
    for node in nodes:
        match node:
            case ast.Call(ast.Attribute(start, "with_name"), [ast.Constant(str(name))]):
                place = here.with_name(name)
            case ast.Attribute(start, "parent"):
                place = here.parent
            case _:
                continue
        if ast.unparse(start) == "Path(__file__)":
            below = sorted(place.rglob("*")) if place.is_dir() else [place]
            yield from (p for p in below if p.is_file() and p.suffix != ".pyc")


@cache
def _modules(name: str) -> tuple[Path, ...]:
    """The files that are run when a module of the package is imported, its parents' first."""
    first, *parts = name.split(".")
    if first != PACKAGE.name:
        return ()
    places = [PACKAGE.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    files = (file for path in places for file in (path / "__init__.py", path.with_suffix(".py")))
    return tuple(file for file in files if file.is_file())
