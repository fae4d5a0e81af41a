"""Copied into a project as sitecustomize.py: notes what each stage's script imports and opens."""

import atexit
import builtins
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = str(HERE / "speciarl") + os.sep

imported: set[tuple[str, str]] = set()
opened: set[str] = set()
original = builtins.__import__


def noting(name, globals=None, locals=None, fromlist=(), level=0):
    found = original(name, globals, locals, fromlist, level)
    if name.partition(".")[0] == "speciarl":
        importer = (globals or {}).get("__name__", "__main__")
        names = {name, *(f"{name}.{item}" for item in fromlist or ())}
        imported.update((importer, one) for one in names if one in sys.modules)
    return found


def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(PACKAGE):
        opened.add(arguments[0].removeprefix(f"{HERE}{os.sep}"))


def leave():
    script = Path(sys.argv[0]).name.split(".")  # tmpab12.train.py
    if len(script) == 3 and ".snakemake" in sys.argv[0]:
        folder = HERE / "recorded"
        folder.mkdir(exist_ok=True)
        job = "/".join([script[1], *sys.modules["__main__"].snakemake.wildcards])
        note = {"job": job, "imported": sorted(imported), "opened": sorted(opened)}
        (folder / f"{os.getpid()}.json").write_text(json.dumps(note))


builtins.__import__ = noting
sys.addaudithook(hook)
atexit.register(leave)
