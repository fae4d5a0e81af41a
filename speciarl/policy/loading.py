"""Model directories: load a policy with its processor, with or without torchvision."""

import importlib.util
import json
from pathlib import Path

import torch
from peft import PeftModel
from transformers import (
    AutoProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessorPil,
)

from speciarl.errors import DataError
from speciarl.files import content_hash, write_json

SOURCE = "source.json"  # in the place of a model directory that lies elsewhere


class ImageOnlyProcessor(Qwen2_5_VLProcessor):
    """Qwen2.5-VL's processor without its video part, which cannot exist without torchvision.

    Images are all that the task needs (transformers#48558).
    """

    @classmethod
    def get_attributes(cls) -> list[str]:
        return ["image_processor", "tokenizer"]

    def __init__(self, image_processor=None, tokenizer=None, chat_template=None, **kwargs):
        super().__init__(image_processor, tokenizer, chat_template=chat_template, **kwargs)


def note_source(source: Path, into: Path) -> None:
    """Let `into` stand for a model directory elsewhere: its place, and size and hash of each file.

    Weights are so neither copied nor linked, and versioning keeps the note, not the gigabytes.
    """
    files = {
        str(path.relative_to(source)): {"bytes": path.stat().st_size, "hash": content_hash([path])}
        for path in sorted(source.rglob("*"))
        if path.is_file()
    }
    write_json({"path": str(source), "files": files}, into / SOURCE)


def files_of(base: Path) -> Path:
    """Where the files of a base policy lie: in `base` itself, or where its note says.

    Raises:
        DataError: a file there is gone, or of another size than noted.
    """
    if not (base / SOURCE).is_file():
        return base
    note = json.loads((base / SOURCE).read_text())
    source = Path(note["path"])
    for name, noted in note["files"].items():
        path = source / name
        found = path.stat().st_size if path.is_file() else None
        if found != noted["bytes"]:
            raise DataError(
                f"{path}: expected {noted['bytes']} bytes as {base / SOURCE} notes, found {found}; "
                "put the file back, or delete that folder to take the model as it is now"
            )
    return source


def image_only(directory: Path) -> bool:
    """Whether a model directory was saved with an `ImageOnlyProcessor`, like the miniature."""
    config = directory / "processor_config.json"
    return (
        config.is_file()
        and json.loads(config.read_text()).get("processor_class") == ImageOnlyProcessor.__name__
    )


def load_processor(directory: Path) -> Qwen2_5_VLProcessor:
    """The processor of a model directory.

    The stock one where torchvision is installed and the directory holds all its parts.
    """
    directory = files_of(directory)
    if importlib.util.find_spec("torchvision") and not image_only(directory):
        return AutoProcessor.from_pretrained(directory, local_files_only=True)
    template = directory / "chat_template.jinja"
    return ImageOnlyProcessor(
        Qwen2VLImageProcessorPil.from_pretrained(directory, local_files_only=True),
        PreTrainedTokenizerFast.from_pretrained(directory, local_files_only=True),
        chat_template=template.read_text() if template.is_file() else None,
    )


def check_model(directory: Path) -> None:
    """See that a directory holds a Qwen2.5-VL, without loading it.

    Raises:
        DataError: it holds no model, or another kind.
    """
    config = directory / "config.json"
    if not config.is_file():
        raise DataError(
            f"{directory} holds no model: put a Qwen2.5-VL directory there or set policy.path"
        )
    kind = json.loads(config.read_text()).get("model_type")
    if kind != "qwen2_5_vl":
        raise DataError(f"{directory} holds a {kind!r} model, expected 'qwen2_5_vl'")


def load_model(directory: Path) -> Qwen2_5_VLForConditionalGeneration:
    """The model of a directory, in evaluation mode: bfloat16 on a GPU, float32 without one."""
    directory = files_of(directory)
    check_model(directory)
    on_gpu = torch.cuda.is_available()
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        directory, dtype=torch.bfloat16 if on_gpu else torch.float32, local_files_only=True
    )
    return model.eval().to("cuda" if on_gpu else "cpu")  # type: ignore[arg-type]  # wrapped method


def has_adapters(run: Path) -> bool:
    return (run / "adapter_config.json").is_file()


def load_merged(base: Path, run: Path):
    """The model of a run: the base, with the adapters of `run` merged in where it has any."""
    model = load_model(base)
    if has_adapters(run):
        model = PeftModel.from_pretrained(model, run).merge_and_unload().eval()
    return model


def load_policy(base: Path, run: Path):
    """Model and processor of a run."""
    return load_merged(base, run), load_processor(base)
