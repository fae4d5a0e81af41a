"""Times the miniature from clean copies of the project, as the README states it.

    python bench/pipeline.py            # --cores 2, a second start, then the same with --cores 8
    python bench/pipeline.py --cores 4

Each clean run takes minutes. Prints seconds, the memory of all processes together, the ratio of
the runs, and how long `speciarl --help` takes.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def clean_copy(folder: Path) -> Path:
    """The project as git has it, in a repository of its own."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds, and the largest sum of resident memory over the process tree, in GiB."""
    with (folder / "bench.log").open("w") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        peak = [0]
        watch = threading.Thread(target=_watch, args=(process, peak))
        watch.start()
        code = process.wait()
        seconds = time.perf_counter() - started
        watch.join()
    if code:
        sys.exit(f"{' '.join(command)} failed, see {folder / 'bench.log'}")
    return seconds, peak[0] / 2**30


def _watch(process: subprocess.Popen, peak: list[int]) -> None:
    root = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        for one in [root, *root.children(recursive=True)]:
            try:
                total += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # it ended between the listing and the look
        peak[0] = max(peak[0], total)
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 8])
    cores = parser.parse_args().cores
    clean = {}
    for count in cores:
        folder = clean_copy(Path(tempfile.mkdtemp()) / "speciarl")
        command = [str(BIN / "snakemake"), "--cores", str(count), "all"]
        clean[count], memory = timed(command, folder)
        again, _ = timed(command, folder)
        print(
            f"--cores {count}: clean {clean[count]:.0f} s and {memory:.1f} GiB, "
            f"again {again:.1f} s",
            flush=True,
        )
        shutil.rmtree(folder.parent)
    for count in cores[1:]:
        print(f"--cores {count} / --cores {cores[0]}: {clean[count] / clean[cores[0]]:.2f}")
    times = [timed([str(BIN / "speciarl"), "--help"], Path(tempfile.mkdtemp()))[0] for _ in "12345"]
    print(f"speciarl --help: {sorted(times)[2]:.2f} s")


if __name__ == "__main__":
    main()
