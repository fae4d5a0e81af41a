"""CUB_200_2011.tgz: the folder, and attributes.txt beside it at the archive's root."""

from collections.abc import Sequence
from pathlib import Path

from speciarl.datasets.miniature.layouts import MiniatureImage, class_names, text, write_tar

HAS_VAL = False


def write(into: Path, images: Sequence[MiniatureImage]) -> None:
    """Write the archive; folders and files differ in case, as in the original."""
    names = enumerate(class_names(images), start=1)
    numbered = list(enumerate(images, start=1))
    base, edge = "CUB_200_2011", f"{images[0].size:.1f}"
    write_tar(
        into / "CUB_200_2011.tgz",
        [
            ("attributes.txt", text(["1 has_bill_shape::curved_(up_or_down)"])),
            (f"{base}/README", text(["A rendered stand-in for CUB-200-2011."])),
            (f"{base}/images.txt", text(f"{i} {_path(p)}" for i, p in numbered)),
            (f"{base}/image_class_labels.txt", text(f"{i} {p.class_id + 1}" for i, p in numbered)),
            (
                f"{base}/train_test_split.txt",
                text(f"{i} {p.split == 'train':d}" for i, p in numbered),
            ),
            (f"{base}/classes.txt", text(f"{i} {_folder(i, name)}" for i, name in names)),
            (f"{base}/bounding_boxes.txt", text(f"{i} 0.0 0.0 {edge} {edge}" for i, _ in numbered)),
            *((f"{base}/images/{_path(p)}", p.jpeg) for p in images),
        ],
    )


def _folder(archive_id: int, name: str) -> str:
    return f"{archive_id:03d}.{name.replace(' ', '_')}"


def _path(image: MiniatureImage) -> str:
    archive_id = image.class_id + 1
    titled = "_".join(word.capitalize() for word in image.class_name.split())
    file_name = f"{titled}_{image.number:04d}_{archive_id * 10_000 + image.number}.jpg"
    return f"{_folder(archive_id, image.class_name)}/{file_name}"
