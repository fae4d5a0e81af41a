"""README.md: each of its commands is run here, or listed with the reason why it is not."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from speciarl.cache import VerdictCache
from speciarl.cache.transfer import export_store
from speciarl.config import load
from speciarl.verdicts import Judgment, Pair, Verdict

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = [shlex.join(shlex.split(line, comments=True)) for line in "".join(BLOCKS).splitlines()]

# Each command that is run: what is run for it. What would take minutes or change the checkout is
# only planned (--dry-run) or its arguments are parsed (--help).
RUN = {
    **{f"make {name}": f"make --dry-run {name}" for name in ("reproduce", "test", "verify")},
    "make test-vllm": "make --dry-run test-vllm",
    "snakemake --cores 8 all": "snakemake --cores 8 --dry-run all",
    "snakemake --cores 8 --dry-run all": "snakemake --cores 8 --dry-run all",
    **{
        f"snakemake --cores 8 {name}": f"snakemake --cores 8 --dry-run {name}"
        for name in ("robustness", "rollouts", "ablations")
    },
    "dvc repro": "dvc repro --help",
    "dvc metrics diff": "dvc metrics diff --help",
    "dvc exp run -S specificity.generic=0.3": "dvc exp run -S specificity.generic=0.3 --help",
    "speciarl check --paths params.yaml": "speciarl check --paths params.yaml",
    "speciarl judge samoyed 'a spitz'": "speciarl judge samoyed 'a spitz'",
    "speciarl judge --batch pairs.csv": "speciarl judge --batch pairs.csv",
    "speciarl taxonomy show samoyed": "speciarl taxonomy show samoyed",
    "speciarl verdicts stats": "speciarl verdicts stats",
    "speciarl verdicts sql 'SELECT …'": "speciarl verdicts sql 'SELECT count(*) FROM verdicts'",
    "speciarl verdicts export paid.parquet": "speciarl verdicts export exported.parquet",
    "speciarl verdicts import paid.parquet": "speciarl verdicts import paid.parquet",
    "speciarl verdicts audit": "speciarl verdicts audit",
    "speciarl verdicts forget --run NAME": "speciarl verdicts forget --run NAME",
}
# The others by what they begin with, and why they are not run here.
NOT_RUN = {
    "speciarl predictions sql ": "needs predictions of a run: test_reading.py runs it on some",
    "speciarl compare ": "needs what was judged of two runs: test_comparison.py has some",
    "speciarl classify ": "needs a trained policy: test_classify.py has a tiny one",
    "python -c ": "test_reading.py runs it on a small store",
    "speciarl verdicts precompute ": "needs predictions and the relations of a whole run",
}
IN_THE_CHECKOUT = ("make", "snakemake", "dvc")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with parameters, facts, a file of pairs, a store of one verdict and its export."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data/verdicts").mkdir(parents=True)
    (folder / "params.yaml").symlink_to(ROOT / "params.yaml")
    (folder / "data/taxonomies").symlink_to(ROOT / "data/taxonomies")
    (folder / "pairs.csv").write_text("dataset,class,prediction\noxford_pets,samoyed,a spitz\n")
    store = folder / "data/verdicts/cache.duckdb"
    cache = VerdictCache(store, {"verifier": "by hand"}, "NAME")
    cache.put({Pair("samoyed", "a spitz"): Judgment(Verdict.LESS_SPECIFIC, "taxonomy")})
    cache.flush()
    export_store(store, folder / "paid.parquet")
    return folder


def test_each_command_is_run_or_has_a_reason_why_not():
    assert set(RUN) <= set(COMMANDS), "no longer in the README"
    assert all(any(c.startswith(begin) for c in COMMANDS) for begin in NOT_RUN)
    for command in COMMANDS:
        reasons = [begin for begin in NOT_RUN if command.startswith(begin)]
        assert (command in RUN) + len(reasons) == 1, command


@pytest.mark.parametrize("command", dict.fromkeys(RUN.values()))
def test_a_command_of_the_readme_runs(command: str, project: Path):
    binaries = Path(sys.executable).parent
    done = subprocess.run(
        shlex.split(command), capture_output=True, text=True,
        cwd=ROOT if command.startswith(IN_THE_CHECKOUT) else project,
        env=os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_parameter_of_the_experiment_exists():
    (edit,) = re.findall(r"^dvc exp run -S (\S+)", README, re.MULTILINE)
    key, _, value = edit.partition("=")
    section, _, name = key.partition(".")
    default = [ROOT / "params.yaml"]
    assert load(default, {section: {name: float(value)}}) != load(default)
