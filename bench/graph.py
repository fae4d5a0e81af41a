"""What planning costs with many runs: `snakemake -n all`, and what `dvc status` adds.

    python bench/graph.py               # 200 runs beside those of params.yaml
    python bench/graph.py --runs 640    # about 2,000 jobs

Prints jobs, seconds of a processor and memory of each command in a clone with nothing made, but
with every run in dvc.lock.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
LIKE = "speciarl"  # the run whose record the others have


def with_runs(folder: Path, count: int) -> None:
    """A clone of the last commit with so many more runs, each trained and recorded as one there."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for i in range(count):
        params["runs"][f"more_{i}"] = {"method": "grpo", "seeds": [i]}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    path = folder / "dvc.lock"
    record = yaml.load(path.read_bytes(), yaml.CSafeLoader)
    for stage in ("train", "predict", "judge"):
        one = json.dumps(record["stages"][f"{stage}@{LIKE}"])
        for i in range(count):
            copied = json.loads(one.replace(f"/{LIKE}", f"/more_{i}"))
            record["stages"][f"{stage}@more_{i}"] = copied
    path.write_text(yaml.safe_dump(record, sort_keys=False))


def measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Seconds of a processor, MB at most, and what was printed."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {printed}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "project"
        with_runs(folder, parser.parse_args().runs)
        plan = ["snakemake", "--cores", "2", "--dry-run", "--quiet", "rules", "--", "all"]
        seconds, memory, printed = measured(plan, folder)
        jobs = int(re.search(r"^total +(\d+)", printed, re.MULTILINE)[1])
        print(f"snakemake -n all: {jobs} jobs, {seconds:.1f} s of a processor, {memory:.0f} MB")
        seconds, memory, _ = measured(["dvc", "status", "--json"], folder)
        print(f"dvc status: {seconds:.1f} s of a processor, {memory:.0f} MB")


if __name__ == "__main__":
    main()
