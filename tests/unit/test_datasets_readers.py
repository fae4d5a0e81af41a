"""Readers: the real index files give the known counts, and faulty lines are named."""

import csv
import gzip
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.io

from speciarl.datasets.counts import check_counts, published_counts
from speciarl.datasets.manifest import READERS, build_manifest, check_manifest
from speciarl.datasets.readers import frame
from speciarl.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
COUNTS = ROOT / "data" / "counts.csv"
KINDS = [(name, kind) for name, reader in READERS.items() for kind in reader.SPLIT_KINDS]


def read(dataset: str, root: Path, kind: str) -> pl.DataFrame:
    return frame(dataset, READERS[dataset].read(root, kind))


needs_shared = pytest.mark.skipif(
    not SHARED.exists(), reason="the reference data is not beside this checkout"
)


def display_names(dataset: str) -> list[str]:
    with (SHARED / "classes" / f"{dataset}.csv").open(newline="") as file:
        return [row["display_name"] for row in csv.DictReader(file)]


# The real index files, written as the archives hold them. Images are not needed to read them.


def write(folder: Path, **files: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def rows_of(path: str) -> list[dict[str, str]]:
    content = (SHARED / "splits" / path).read_bytes()
    if path.endswith(".gz"):
        content = gzip.decompress(content)
    return list(csv.DictReader(content.decode().splitlines()))


def write_cub200(raw: Path) -> None:
    rows = rows_of("cub200_official.csv.gz")
    write(
        raw / "CUB_200_2011",
        classes=(SHARED / "classes" / "cub_classes.txt").read_text().splitlines(),
        images=[f"{r['image_id']} {r['path']}" for r in rows],
        image_class_labels=[f"{r['image_id']} {r['class_id']}" for r in rows],
        train_test_split=[f"{r['image_id']} {r['is_training_image']}" for r in rows],
    )


def write_fgvc_aircraft(raw: Path) -> None:
    rows = rows_of("fgvc_aircraft_official.csv.gz")
    lists = {
        f"images_variant_{split}": [
            f"{r['image_id']} {r['variant']}" for r in rows if r["split"] == split
        ]
        for split in ("train", "val", "test")
    }
    variants = (SHARED / "classes" / "fgvc_variants.txt").read_text().splitlines()
    write(raw / "fgvc-aircraft-2013b" / "data", variants=variants, **lists)


def write_flowers102(raw: Path) -> None:
    raw.mkdir(parents=True)
    rows = rows_of("flowers102_official_setid.csv.gz")
    members = {split: [] for split in ("train", "val", "test")}
    for row in rows:
        members[row["split"]].append(int(row["filename"][6:11]))
    labels = [int(r["class_idx"]) + 1 for r in sorted(rows, key=lambda r: r["filename"])]
    scipy.io.savemat(raw / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    names = {"trnid": "train", "valid": "val", "tstid": "test"}
    scipy.io.savemat(
        raw / "setid.mat", {k: np.array([members[v]], dtype=np.uint16) for k, v in names.items()}
    )
    for name in ("labels", "metadata", "split_coop"):
        (raw / f"{name}.csv").write_bytes(
            (SHARED / "splits" / "flowers102" / f"{name}.csv").read_bytes()
        )


def write_food101(raw: Path) -> None:
    rows = rows_of("food101_official.csv.gz")
    keys = {
        split: [r["filename"].removesuffix(".jpg") for r in rows if r["split"] == split]
        for split in ("train", "test")
    }
    classes = sorted({r["filename"].partition("/")[0] for r in rows})
    write(raw / "food-101" / "meta", classes=classes, **keys)
    with gzip.open(SHARED / "splits" / "food101" / "split_coop.csv.gz") as file:
        (raw / "split_coop.csv").write_bytes(file.read())


def write_oxford_pets(raw: Path) -> None:
    rows = rows_of("oxford_pets/split_coop.csv")
    with (SHARED / "classes" / "oxford_pets.csv").open(newline="") as file:
        ids = {row["raw_name"]: row["archive_id"] for row in csv.DictReader(file)}
    names = [Path(r["filename"]).stem for r in rows if r["split"] != "test"]
    write(
        raw / "annotations",
        trainval=[f"{name} {ids[name.rpartition('_')[0]]} 1 1" for name in sorted(names)],
        test=(SHARED / "splits" / "oxford_pets_test_txt_rebuilt.txt").read_text().splitlines(),
    )
    (raw / "split_coop.csv").write_bytes(
        (SHARED / "splits" / "oxford_pets" / "split_coop.csv").read_bytes()
    )


def write_stanford_cars(raw: Path) -> None:
    """Labels of the original lists; the copy's row order is not known, and does not matter."""
    raw.mkdir(parents=True)
    rows = rows_of("stanford_cars/labels.csv")
    label = {"names": display_names("stanford_cars"), "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": label}}})}
    for split in ("train", "test"):
        labels = [int(r["class_idx"]) for r in rows if r["filename"].startswith(split)]
        for part, piece in enumerate((labels[:5000], labels[5000:])):
            pl.DataFrame({"label": piece}).write_parquet(
                raw / f"{split}-{part:05d}-of-00002.parquet", metadata=metadata
            )


def write_caltech101(raw: Path) -> None:
    raw.mkdir(parents=True)
    for name in ("metadata", "split_coop"):
        (raw / f"{name}.csv").write_bytes(
            (SHARED / "splits" / "caltech101" / f"{name}.csv").read_bytes()
        )


def write_stanford_cars_archives(raw: Path) -> None:
    """The original layout: folders of images, and MATLAB tables."""
    rows = rows_of("stanford_cars/labels.csv")
    (raw / "devkit").mkdir(parents=True)
    (raw / "cars_train").mkdir()
    names = np.array([display_names("stanford_cars")], dtype=object)
    scipy.io.savemat(raw / "devkit" / "cars_meta.mat", {"class_names": names})
    tables = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
    fields = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
    for split, table in tables.items():
        mine = [r for r in rows if r["filename"].startswith(split)]
        records = [(1, int(r["class_idx"]) + 1, Path(r["filename"]).name) for r in mine]
        scipy.io.savemat(raw / table, {"annotations": np.array([records], dtype=fields)})


WRITERS = {
    "caltech101": write_caltech101,
    "cub200": write_cub200,
    "fgvc_aircraft": write_fgvc_aircraft,
    "flowers102": write_flowers102,
    "food101": write_food101,
    "oxford_pets": write_oxford_pets,
    "stanford_cars": write_stanford_cars,
}


FORMS = [(WRITERS[name], name, kind) for name, kind in KINDS]
FORMS.append((write_stanford_cars_archives, "stanford_cars", "official"))


@needs_shared
@pytest.mark.parametrize(("writer", "dataset", "kind"), FORMS)
def test_the_real_index_files_give_the_known_counts(
    writer: Callable[[Path], None], dataset: str, kind: str, tmp_path: Path
) -> None:
    writer(tmp_path / dataset)
    found = read(dataset, tmp_path / dataset, kind).sort("sample_id")
    check_manifest(found, dataset)
    published = published_counts(COUNTS, "real", dataset, kind)
    assert set(published) == set(found["split"])
    check_counts(found, published, dataset)
    with pytest.raises(DataError, match=r"expected .*, found .*not the published one"):
        check_counts(found[1:], published, dataset)

    names = display_names(dataset)
    assert set(zip(found["class_id"], found["class_name"], strict=True)) == set(enumerate(names))
    per_class = found.group_by("split", "class_id").len()
    for row in rows_of("summary.csv"):
        if (row["dataset"], row["split_kind"]) == (dataset, kind):
            split = "train" if row["split"] == "trainval" else row["split"]
            sizes = per_class.filter(pl.col("split") == split)["len"]
            assert [sizes.sum(), len(sizes), sizes.min(), sizes.max()] == [
                int(row[column]) for column in ("rows", "classes", "min_per_class", "max_per_class")
            ]


# What an index file may do wrong.


def test_a_mat_file_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "imagelabels.mat").write_text("not MATLAB at all, but long enough to look at" * 9)
    with pytest.raises(DataError, match=r"imagelabels.mat: expected a MATLAB 5 file"):
        read("flowers102", tmp_path, "official")
    scipy.io.savemat(tmp_path / "imagelabels.mat", {"other": [1]})
    with pytest.raises(DataError, match="expected the variable 'labels'"):
        read("flowers102", tmp_path, "official")


def test_car_names_come_from_the_devkit_where_the_parquet_has_none(tmp_path: Path) -> None:
    for split in ("train", "test"):
        pl.DataFrame({"label": [1, 0]}).write_parquet(tmp_path / f"{split}-0.parquet")
    with pytest.raises(DataError, match=r"train-0.parquet: expected class names.*cars_meta.mat"):
        read("stanford_cars", tmp_path, "official")

    (tmp_path / "devkit").mkdir()
    names = np.array([["AM General Hummer SUV 2000", "Acura RL Sedan 2012"]], dtype=object)
    scipy.io.savemat(tmp_path / "devkit" / "cars_meta.mat", {"class_names": names})
    found = read("stanford_cars", tmp_path, "official")
    assert found["class_name"].to_list()[:2] == names[0, ::-1].tolist()

    pl.DataFrame({"label": [2]}).write_parquet(tmp_path / "test-0.parquet")
    with pytest.raises(
        DataError, match=r"test-0.parquet#0: expected a whole number of 0 to 1, found '2'"
    ):
        read("stanford_cars", tmp_path, "official")


def test_a_car_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-0.parquet").write_text("<html>")
    with pytest.raises(
        DataError, match=r"train-0.parquet cannot be read as parquet.*fetch it anew"
    ):
        read("stanford_cars", tmp_path, "official")


@needs_shared
def test_images_of_the_car_archives_are_files(tmp_path: Path) -> None:
    write_stanford_cars_archives(tmp_path)
    found = read("stanford_cars", tmp_path, "official")
    first = found.row(by_predicate=pl.col("sample_id") == "stanford_cars/test/00001", named=True)
    assert first["image"] == "cars_test/00001.jpg"
    assert (first["class_id"], first["class_name"]) == (180, "Suzuki Aerio Sedan 2007")


def test_background_and_second_faces_of_caltech_are_in_no_split(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("idx,folder_name,class_name\n0,Faces,face\n")
    (tmp_path / "split_coop.csv").write_text("split,filename\ntest,Faces/image_0001.jpg\n")
    found = read("caltech101", tmp_path, "coop")
    assert found.row(0) == (
        "caltech101/test/Faces/image_0001", "caltech101", "test",
        "caltech-101/101_ObjectCategories/Faces/image_0001.jpg", 0, "face",
        f"{tmp_path}/split_coop.csv:2",
    )  # fmt: skip
    (tmp_path / "split_coop.csv").write_text("split,filename\ntest,Faces_easy/image_0001.jpg\n")
    with pytest.raises(
        DataError, match=r"csv:2: expected one of 1 entries of metadata.csv, found 'Faces_easy'"
    ):
        read("caltech101", tmp_path, "coop")


HANDED = Path(__file__).resolve().parents[3] / "shared" / "inputs" / "readers"


@pytest.mark.skipif(not HANDED.exists(), reason="the handed inputs are not beside this checkout")
@pytest.mark.parametrize("case", sorted(HANDED.glob("*")), ids=lambda path: path.name)
def test_an_index_file_that_ended_in_a_traceback_is_named(case: Path) -> None:
    dataset = case.name.rpartition("_")[0]
    with pytest.raises(DataError, match=str(case)) as refused:
        for kind in reversed(READERS[dataset].SPLIT_KINDS):
            read(dataset, case, kind)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("number", "name", "message"),
    [
        (
            "2147483648",
            "Faces/1.jpg",
            "metadata.csv:2: expected a whole number of .*, found '2147483648'",
        ),
        (
            "9" * 5000,
            "Faces/1.jpg",
            "metadata.csv:2: expected a whole number of .*, found '99999999999999999999…",
        ),
        ("0", "/", r"split_coop.csv:2: expected the name of a file, found '/'"),
        ("0", ".", r"split_coop.csv:2: expected the name of a file, found '.'"),
        ("0", "//", r"split_coop.csv:2: expected the name of a file, found '//'"),
        ("0", "x" * 200_000, r"split_coop.csv:\d+: expected CSV \(field larger"),
    ],
)
def test_what_a_table_cannot_hold_is_named(
    number: str, name: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "metadata.csv").write_text(f"idx,folder_name,class_name\n{number},Faces,face\n")
    (tmp_path / "split_coop.csv").write_text(f"split,filename\ntest,{name}\n")
    with pytest.raises(DataError, match=message):
        read("caltech101", tmp_path, "coop")


def write_small(dataset: str, root: Path) -> list[Path]:
    """Index files of three classes and images, as a benchmark has them; their paths."""
    coop = "split,filename\ntrain,a/1.jpg\nval,b/2.jpg\ntest,c/3.jpg\n"
    if dataset == "cub200":
        base = root / "CUB_200_2011"
        write(base, classes=["1 001.Gull", "2 002.Jay", "3 003.Tern"],
              images=["1 a/1.jpg", "2 b/2.jpg", "3 c/3.jpg"],
              image_class_labels=["1 1", "2 2", "3 3"],
              train_test_split=["1 1", "2 0", "3 0"])  # fmt: skip
    elif dataset == "caltech101":
        text = "idx,folder_name,class_name\n0,a,an a\n1,b,a b\n2,c,a c\n"
        (root / "metadata.csv").write_text(text)
        (root / "split_coop.csv").write_text(coop)
    elif dataset == "flowers102":
        save_flowers(root)
        (root / "metadata.csv").write_text("idx,class_name\n0,rose\n1,iris\n2,lily\n")
        (root / "labels.csv").write_text("filename,class_idx\na/1.jpg,0\nb/2.jpg,1\nc/3.jpg,2\n")
        (root / "split_coop.csv").write_text(coop)
    elif dataset == "food101":
        lists = {"train": ["a/1", "b/2", "c/3"], "test": ["a/4", "b/5", "c/6"]}
        write(root / "food-101/meta", classes=["a", "b", "c"], **lists)
        (root / "split_coop.csv").write_text(coop)
    elif dataset == "oxford_pets":
        lists = {f: [f"{n}_{f} {i} 2 {i}" for i, n in enumerate(("Pug", "Lab", "Cat"), 1)]
                 for f in ("trainval", "test")}  # fmt: skip
        write(root / "annotations", **lists)
        coop = "split,filename\ntrain,Pug_test.jpg\nval,Lab_test.jpg\ntest,Cat_test.jpg\n"
        (root / "split_coop.csv").write_text(coop)
    elif dataset == "fgvc_aircraft":
        lists = {f"images_variant_{s}": [f"{s}{v} {v}" for v in ("707", "717", "727")]
                 for s in ("train", "val", "test")}  # fmt: skip
        write(root / "fgvc-aircraft-2013b/data", variants=["707", "717", "727"], **lists)
    else:
        for folder in ("cars_train", "devkit"):
            (root / folder).mkdir()
        save_cars(root)
    return sorted(path for path in root.rglob("*") if path.is_file())


def save_flowers(root: Path, labels: object = (1, 2, 3), **sets: object) -> None:
    scipy.io.savemat(root / "imagelabels.mat", {"labels": np.array([labels])})
    sets = {"trnid": [1, 2, 3], "valid": [], "tstid": [], **sets}
    scipy.io.savemat(root / "setid.mat", {k: np.array([v]) for k, v in sets.items()})


def save_cars(root: Path, names: Sequence[object] = ("Acura", "BMW", "Fiat"), **second) -> None:
    scipy.io.savemat(root / "devkit/cars_meta.mat", {"class_names": np.array([names], object)})
    for path in ("devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat"):
        rows = [{"fname": f"{n}.jpg", "class": n} for n in (1, 2, 3)]
        rows[1] |= second
        records = np.array([[tuple(row.values()) for row in rows]], [(k, "O") for k in rows[0]])
        scipy.io.savemat(root / path, {"annotations": records})


# Of each text file, what may wrongly stand in the place of the middle one of its three lines.
COOP = [
    "val",
    "dev,b/2.jpg",
    "val,z/2.jpg",
    "val,/",
    "val,../2.jpg",
    "val,a/1.jpg",
    "val,a\x1b.jpg",
]
BROKEN = {
    ("cub200", "official", "CUB_200_2011/classes.txt"): ["2", "2 002.Gull", "1 002.Jay"],
    ("cub200", "official", "CUB_200_2011/images.txt"): [
        "2", "1 b/2.jpg", "9 b/2.jpg", "2 /", "2 a/1.jpg", "2 a/../2.jpg",
    ],
    ("cub200", "official", "CUB_200_2011/image_class_labels.txt"): ["2", "2 9", "2 x", "1 2"],
    ("cub200", "official", "CUB_200_2011/train_test_split.txt"): ["2", "2 2", "1 0"],
    ("fgvc_aircraft", "official", "fgvc-aircraft-2013b/data/variants.txt"): ["707"],
    ("fgvc_aircraft", "official", "fgvc-aircraft-2013b/data/images_variant_val.txt"): [
        "val717", "val717 none", "val707 717", "train707 707", "../x 717",
    ],
    ("caltech101", "coop", "metadata.csv"): [
        "1,b", "x,b,a b", "-1,b,a b", "1,,a b", "0,b,a b", "1,a,a b", "1,b,an a",
    ],
    ("caltech101", "coop", "split_coop.csv"): COOP,
    ("food101", "official", "food-101/meta/classes.txt"): ["a"],
    ("food101", "official", "food-101/meta/train.txt"): ["z/2", "2", "a/1", "/"],
    ("food101", "coop", "split_coop.csv"): COOP,
    ("flowers102", "coop", "metadata.csv"): ["1", "0,iris", "1,rose", "1,"],
    ("flowers102", "coop", "labels.csv"): ["b/2.jpg", "b/2.jpg,9", "b/2.jpg,x", "a/1.jpg,1"],
    ("flowers102", "coop", "split_coop.csv"): COOP,
    ("oxford_pets", "official", "annotations/test.txt"): [
        "Lab_test 2 2", "Lab_test x 2 2", "Lab_test 0 2 2", "Lab_test 3 2 2", "Lab 2 2 2",
        "Pug_test 1 2 1", "Lab_trainval 2 2 2",
    ],
    ("oxford_pets", "coop", "split_coop.csv"): [
        "val", "dev,Lab_test.jpg", "val,Lab_none.jpg", "val,/", "val,Pug_test.jpg",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "kind", "file", "broken"),
    [
        (*where, line)
        for where, lines in BROKEN.items()
        for line in [*lines, "\udcff", "x" * 140_000]
    ],
    ids=lambda value: ascii(value)[1:60],
)
def test_a_broken_line_is_named_with_its_file_and_number(
    dataset: str, kind: str, file: str, broken: str, tmp_path: Path
) -> None:
    write_small(dataset, tmp_path)
    path = tmp_path / file
    lines = path.read_text().splitlines()
    number = len(lines) - 1  # a table has one more for its header
    lines[number - 1] = broken
    path.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DataError) as refused:
        build_manifest(dataset, Path(), kind, tmp_path)
    assert str(refused.value).startswith(f"{path}:{number}: ")
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300 + len(str(path))


def test_the_table_of_broken_lines_has_every_text_file(tmp_path: Path) -> None:
    for dataset in READERS:
        (tmp_path / dataset).mkdir()
        for path in write_small(dataset, tmp_path / dataset):
            same = {"val": ("train", "test"), "train": ("test",), "test": ("trainval",)}
            stems = {f"{Path(f).stem}" for d, _, f in BROKEN if d == dataset}
            alike = {s.replace(a, b) for s in stems for a, others in same.items() for b in others}
            assert path.suffix == ".mat" or path.stem in stems | alike, path


NAN = float("nan")


@pytest.mark.parametrize(
    ("dataset", "place", "saved"),
    [
        *(("flowers102", "imagelabels.mat:labels(2)", {"labels": [1, bad, 3]})
          for bad in (0, 9, 1.5, NAN, 2**31)),
        *(("flowers102", "setid.mat:trnid(2)", {"trnid": [1, bad, 3]})
          for bad in (0, 9, 1.5, NAN)),
        ("flowers102", "setid.mat:trnid(2)", {"trnid": [1, 1, 3]}),
        ("flowers102", "imagelabels.mat:labels(1)", {"labels": ["a", "b", "c"]}),
        *(("stanford_cars", "devkit/cars_train_annos.mat:annotations(2).class", {"class": bad})
          for bad in (0, 4, -1, "x", [1, 2], NAN, 1.5)),
        *(("stanford_cars", "devkit/cars_train_annos.mat:annotations(2).fname", {"fname": bad})
          for bad in ("/", [1, 2], "1.jpg", "../2.jpg")),
        *(("stanford_cars", "devkit/cars_meta.mat:class_names(2)", {"names": ["a", bad, "c"]})
          for bad in ("a", ["b", "b"])),
    ],
    ids=lambda value: ascii(value)[1:80],
)  # fmt: skip
def test_a_broken_record_of_a_mat_file_is_named_with_its_number(
    dataset: str, place: str, saved: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_this_process(path: Path, name: str) -> np.ndarray:
        return scipy.io.loadmat(path, variable_names=[name])[name].ravel()

    monkeypatch.setattr("speciarl.datasets.readers.read_variable", in_this_process)
    write_small(dataset, tmp_path)
    (save_flowers if dataset == "flowers102" else save_cars)(tmp_path, **saved)
    with pytest.raises(DataError) as refused:
        build_manifest(dataset, Path(), "official", tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / place}: ")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("bad", [None, -1, 2, 2**31, 1.5, "x"])
def test_a_broken_row_of_a_parquet_file_is_named_with_its_number(
    bad: object, tmp_path: Path
) -> None:
    features = json.dumps({"info": {"features": {"label": {"names": ["a", "b"]}}}})
    for split in ("train", "test"):
        rows = pl.DataFrame({"label": pl.Series([0, bad, 1], strict=False)})
        rows.write_parquet(tmp_path / f"{split}-0.parquet", metadata={"huggingface": features})
    with pytest.raises(DataError) as refused:
        build_manifest("stanford_cars", Path(), "official", tmp_path)
    row = {1.5: 0}.get(bad, 1)  # a column of fractions is wrong from its first row
    assert str(refused.value).startswith(
        f"{tmp_path}/train-0.parquet#{row}: expected a whole number"
    )


HOSTILE = [
    b"/", b"//", b".", b"..", b"../../x", b"-1", b"0", b"9" * 5000, b"2147483648", b"\0", b"\xff",
    b"\xed\xa0\x80", b'"', b",", b"\n", b" ", b"\x1b[31m", b"x" * 140_000, b"1e9", b"#", b"\t",
    "\u0661".encode(), b"",
]  # fmt: skip


OF_A_LINE = r"(:\d+|:\w+\(\d+\)(\.\w+)?): "
OF_A_FILE = "(is missing|at least one line|the columns|a MATLAB 5 file|variable|no .*|images)"


@pytest.mark.parametrize("dataset", READERS)
def test_whatever_stands_in_an_index_file_is_read_or_refused_in_one_line(
    dataset: str, tmp_path: Path
) -> None:
    """Bytes replaced, taken out and put in at seeded places of each file."""
    good = {path: path.read_bytes() for path in write_small(dataset, tmp_path)}
    kind = READERS[dataset].SPLIT_KINDS[0]
    check_manifest(read(dataset, tmp_path, kind), dataset)
    rng = np.random.default_rng(0)
    matlab = any(path.suffix == ".mat" for path in good)
    refused = 0
    for turn in range(3 if matlab else 200):  # each of MATLAB's starts a process
        path = list(good)[turn % len(good)]
        start = rng.integers(len(good[path]) + 1)
        taken = rng.integers(0, 8)
        hostile = HOSTILE[turn % len(HOSTILE)]
        path.write_bytes(good[path][:start] + hostile + good[path][start + taken :])
        try:
            check_manifest(read(dataset, tmp_path, kind), dataset)
        except DataError as error:
            refused += 1
            assert str(error).isprintable() and len(str(error)) < 1000, str(error)[:300]
            assert re.match(
                rf"{re.escape(str(tmp_path))}/[^:]+{OF_A_LINE}|.+{OF_A_FILE}", str(error)
            )
        path.write_bytes(good[path])
    assert refused > 5 or matlab


@pytest.mark.parametrize("name", ["0", "../x", "a\x1b[31m/1.jpg"])
def test_no_index_file_leads_out_of_its_folder_or_below_the_first_class(
    name: str, tmp_path: Path
) -> None:
    write_small("cub200", tmp_path)
    base = tmp_path / "CUB_200_2011"
    if name == "0":
        write(base, classes=["0 000.Gull", "2 002.Jay"], image_class_labels=["1 0", "2 2"])
    else:
        write(base, images=[f"1 {name}", "2 b/2.jpg"])
    with pytest.raises(DataError, match="number of 1 to" if name == "0" else "no name of an image"):
        build_manifest("cub200", Path(), "official", tmp_path)


def test_cars_without_labels_are_refused(tmp_path: Path) -> None:
    write_small("stanford_cars", tmp_path)
    unlabelled = np.array([[("00001.jpg",)]], dtype=[("fname", "O")])
    scipy.io.savemat(tmp_path / "devkit/cars_train_annos.mat", {"annotations": unlabelled})
    with pytest.raises(
        DataError, match=r"cars_train_annos.mat:annotations\(1\): .*field 'class': is it labelled"
    ):
        read("stanford_cars", tmp_path, "official")


def test_damaged_labels_in_parquet_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    features = json.dumps({"info": {"features": {"label": {"names": ["a", "b"]}}}})
    rows = pl.DataFrame({"label": [0, 1] * 20})
    for split in ("train", "test"):
        rows.write_parquet(tmp_path / f"{split}-0.parquet", metadata={"huggingface": features})
    path = tmp_path / "train-0.parquet"
    good, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(200):
        damaged = bytearray(good)
        for place in rng.integers(0, len(good), 2):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            check_manifest(read("stanford_cars", tmp_path, "official"), "stanford_cars")
        except DataError as error:
            refused += 1
            assert str(error).isprintable()
    assert refused > 20
