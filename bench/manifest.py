"""The manifest of the largest benchmark at its true size: seconds, and memory beyond the imports.

`python bench/manifest.py` writes Food-101's 101,000 image files, empty, and its index files into
a temporary folder, builds both of its manifests in a process of their own, and prints what it took.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLASSES, PER_CLASS, TRAINING = 101, 1000, 750
BUILD = """
import json, resource, sys, time
from pathlib import Path
from speciarl.datasets.counts import published_counts
from speciarl.datasets.manifest import build_manifest

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before, started = megabytes(), time.perf_counter()
published = published_counts(Path(sys.argv[2]), "real", "food101", sys.argv[3])
found = build_manifest("food101", Path(sys.argv[1]), sys.argv[3], published=published)
print(json.dumps([len(found), time.perf_counter() - started, megabytes() - before]))
"""


def write_archive(raw: Path) -> None:
    """The unpacked archive, and a CoOp split of the published sizes."""
    counts = {"train": 500, "val": 200, "test": 300}
    lists: dict[str, list[str]] = {"train": [], "test": []}
    rows = ["split,filename"]
    for c in range(CLASSES):
        folder = raw / "food-101" / "images" / f"dish_{c:03d}"
        folder.mkdir(parents=True)
        split_of = [split for split, count in counts.items() for _ in range(count)]
        for i in range(PER_CLASS):
            (folder / f"{i}.jpg").touch()
            lists["train" if i < TRAINING else "test"].append(f"{folder.name}/{i}")
            rows.append(f"{split_of[i]},{folder.name}/{i}.jpg")
    meta = raw / "food-101" / "meta"
    meta.mkdir()
    (meta / "classes.txt").write_text("".join(f"dish_{c:03d}\n" for c in range(CLASSES)))
    for split, keys in lists.items():
        (meta / f"{split}.txt").write_text("\n".join(keys) + "\n")
    (raw / "split_coop.csv").write_text("\n".join(rows) + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "food101"
        write_archive(raw)
        for kind in ("official", "coop"):
            command = [sys.executable, "-c", BUILD, str(raw), str(ROOT / "data/counts.csv"), kind]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
            images, seconds, megabytes = json.loads(done.stdout)
            print(f"food101 {kind}: {images} images in {seconds:.1f} s, {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
