"""Times the miniature from a clean copy of the project, as the README states it.

    python bench/pipeline.py            # --cores 2, then a second start, then --cores 8
    python bench/pipeline.py --cores 4

Each clean run takes minutes. Prints seconds, the largest process, and the ratio of the runs.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def clean_copy(folder: Path) -> Path:
    """The project as git has it, in a repository of its own."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def snakemake(folder: Path, cores: int) -> float:
    """Seconds of `snakemake --cores N all` in `folder`."""
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", str(cores), "all"]
    started = time.perf_counter()
    with (folder / "bench.log").open("w") as log:
        subprocess.run(command, cwd=folder, check=True, stdout=log, stderr=subprocess.STDOUT)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 8])
    cores = parser.parse_args().cores
    clean = {}
    for count in cores:
        folder = Path(tempfile.mkdtemp()) / "speciarl"
        clean[count] = snakemake(clean_copy(folder), count)
        again = snakemake(folder, count)
        print(f"--cores {count}: clean {clean[count]:.0f} s, again {again:.1f} s", flush=True)
        shutil.rmtree(folder.parent)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"largest process {peak:.2f} GiB")
    for count in cores[1:]:
        print(f"--cores {count} / --cores {cores[0]}: {clean[count] / clean[cores[0]]:.2f}")


if __name__ == "__main__":
    main()
