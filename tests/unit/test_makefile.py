"""Which Python the Makefile takes, on machines that have others."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKE_SETS = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHON"}
FITS, DOES_NOT = "exit 0", "exit 1"  # of a version that the pins are for, and able to make a venv

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def dry_run(folder, pythons, *arguments):
    """What `make reproduce` would do where exactly these Pythons are on the path."""
    for name, does in pythons.items():
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)
    (folder / "sh").symlink_to("/bin/sh")
    # Called by `make test`, this make would be a sub-make, which tells its directory and our flags.
    ours = {name: value for name, value in os.environ.items() if name not in MAKE_SETS}
    return subprocess.run(
        [shutil.which("make"), "--dry-run", "reproduce", f"VENV={folder}/venv", *arguments],
        cwd=ROOT, env=ours | {"PATH": str(folder)}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pythons", "taken"),
    [
        ({"python3.11": FITS, "python3.13": FITS}, "python3.11"),
        ({"python3.12": FITS, "python3": FITS}, "python3.12"),
        ({"python3.11": DOES_NOT, "python3.13": FITS}, "python3.13"),
        ({"python3": FITS}, "python3"),
    ],
)
def test_the_first_python_that_fits_is_taken(tmp_path, pythons, taken):
    done = dry_run(tmp_path, pythons)
    assert done.stdout.splitlines()[0] == f"{taken} -m venv {tmp_path}/venv", done.stderr


@pytest.mark.parametrize("pythons", [{}, {"python3": DOES_NOT, "python3.12": DOES_NOT}])
def test_none_that_fits_is_one_line(tmp_path, pythons):
    done = dry_run(tmp_path, pythons)
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert all(part in line for part in ("3.11", "3.12", "3.13", "PYTHON="))


def test_a_python_that_is_named_is_taken(tmp_path):
    done = dry_run(tmp_path, {"python3.11": FITS}, "PYTHON=/opt/python")
    assert done.stdout.startswith("/opt/python -m venv")
