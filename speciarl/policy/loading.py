"""Model directories: load a policy with its processor, with or without torchvision."""

import importlib.util
import json
import os
import warnings
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessorPil,
)

from speciarl.config.learning import Loading
from speciarl.errors import ConfigError, DataError, one_line
from speciarl.files import content_hash, write_json
from speciarl.policy.repeats import share_repeats

SOURCE = "source.json"  # in the place of a model directory that lies elsewhere
LOADING = "loading.json"  # beside it or beside the miniature's files


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
    note = json.loads((base / SOURCE).read_bytes())
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


def note_loading(settings: Loading, base: Path) -> None:
    """Let a base policy say how it is loaded: whoever uses it, then does it alike."""
    write_json(settings.model_dump(include=set(Loading.model_fields)), base / LOADING)


def loading_of(base: Path) -> Loading:
    """What `note_loading` has noted; the defaults where it has not."""
    path = base / LOADING
    return Loading(**json.loads(path.read_bytes())) if path.is_file() else Loading()


def choose_device(base: Path) -> None:
    """Settle, before anything asks torch for a GPU, whether this process has one for the policy.

    Raises:
        ConfigError: the policy is a model directory and there is no GPU to run it on.
    """
    if loading_of(base).device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif (base / SOURCE).is_file() and not torch.cuda.is_available():
        raise ConfigError(
            f"the policy is {files_of(base)} and there is no GPU here that torch can use: run it "
            "where there is one, or set policy.device: cpu, which is slow for all but tiny models"
        )


def image_only(directory: Path) -> bool:
    """Whether a model directory was saved with an `ImageOnlyProcessor`, like the miniature."""
    config = directory / "processor_config.json"
    return (
        config.is_file()
        and json.loads(config.read_bytes()).get("processor_class") == ImageOnlyProcessor.__name__
    )


def load_processor(directory: Path) -> Qwen2_5_VLProcessor:
    """The processor of a model directory, with the limit of pixels that the policy is loaded with.

    The stock one where torchvision is installed and the directory holds all its parts.
    """
    limit = loading_of(directory).max_pixels
    directory = files_of(directory)
    if importlib.util.find_spec("torchvision") and not image_only(directory):
        processor = AutoProcessor.from_pretrained(directory, local_files_only=True)
    else:
        processor = ImageOnlyProcessor(
            Qwen2VLImageProcessorPil.from_pretrained(directory, local_files_only=True),
            PreTrainedTokenizerFast.from_pretrained(directory, local_files_only=True),
            chat_template=_chat_template(directory),
        )
    processor.chat_template = processor.chat_template or processor.tokenizer.chat_template
    if limit:
        size = processor.image_processor.size
        processor.image_processor.size = {
            "shortest_edge": min(size["shortest_edge"], limit),
            "longest_edge": min(size["longest_edge"], limit),
        }
    return processor


def _chat_template(directory: Path) -> str | None:
    """The processor's own, from where transformers has put it at one time or another."""
    current, former = (directory / f"chat_template.{ending}" for ending in ("jinja", "json"))
    if former.is_file() and not current.is_file():
        return json.loads(former.read_bytes())["chat_template"]
    return current.read_text("utf-8") if current.is_file() else None


def check_model(directory: Path) -> None:
    """See that a directory holds a whole Qwen2.5-VL, without loading it.

    Raises:
        DataError: it holds no model, or another kind, or not all of its weights.
    """
    config = directory / "config.json"
    if not config.is_file():
        raise DataError(
            f"{directory} holds no model: put a Qwen2.5-VL directory there or set policy.path"
        )
    try:
        kind = json.loads(config.read_bytes()).get("model_type")
    except ValueError as error:
        raise DataError(f"{config}: expected JSON ({one_line(error)})") from error
    if kind != "qwen2_5_vl":
        raise DataError(f"{directory} holds a {kind!r} model, expected 'qwen2_5_vl'")
    index = directory / "model.safetensors.index.json"
    parts = json.loads(index.read_bytes())["weight_map"].values() if index.is_file() else []
    for name in sorted(set(parts)) or ["model.safetensors"]:
        try:
            safe_open(directory / name, "pt")  # reads where its tensors begin and end
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"{directory / name} holds no whole weights ({one_line(error)}): copy the model "
                "directory again"
            ) from error


def load_model(directory: Path) -> Qwen2_5_VLForConditionalGeneration:
    """The model of a directory, in evaluation mode: bfloat16 on a GPU, float32 without one.

    Raises:
        ConfigError: its attention is not installed.
        DataError: as `check_model` and `files_of` say.
    """
    attention = loading_of(directory).attn_implementation
    directory = files_of(directory)
    check_model(directory)
    on_gpu = torch.cuda.is_available()
    try:
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            directory,
            dtype=torch.bfloat16 if on_gpu else torch.float32,
            attn_implementation=attention,
            local_files_only=True,
        )
    except ImportError as error:
        raise ConfigError(
            f"policy.attn_implementation is {attention!r}, which cannot be used here "
            f"({one_line(error)}): install it, or set sdpa"
        ) from error
    share_repeats(model)
    return model.eval().to("cuda" if on_gpu else "cpu")  # type: ignore[arg-type]  # wrapped method


def has_adapters(run: Path) -> bool:
    return (run / "adapter_config.json").is_file()


def adapter_rank(base: Path, run: Path) -> int:
    """The rank of a run's adapters, 0 where it has none; the weights of the base are not read.

    Raises:
        DataError: the adapters are of another base.
    """
    if not has_adapters(run):
        return 0
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig.from_pretrained(files_of(base)))
    with warnings.catch_warnings(action="ignore"):  # which say of each weight that it is not kept
        _adapted(model, base, run)
    return json.loads((run / "adapter_config.json").read_text())["r"]


def load_merged(base: Path, run: Path):
    """The model of a run: the base, with the adapters of `run` merged in where it has any.

    Raises:
        DataError: the adapters are of another base.
    """
    model = load_model(base)
    return _adapted(model, base, run).merge_and_unload().eval() if has_adapters(run) else model


def _adapted(model, base: Path, run: Path) -> PeftModel:
    with safe_open(run / "adapter_model.safetensors", "pt") as file:
        saved = set(file.keys())
    try:
        adapted = PeftModel.from_pretrained(model, run)
        differ = saved ^ set(get_peft_model_state_dict(adapted))
        found = f"{len(differ)} weights are in one only, first {min(differ)}" if differ else None
    except (RuntimeError, ValueError) as error:  # their shapes differ, or nothing of the name
        found = one_line(error)
    if found:
        raise DataError(
            f"{run} has adapters of another base policy than {base} ({found}): train the run "
            "again, or put the base back that it was trained on"
        )
    return adapted


def load_policy(base: Path, run: Path):
    """Model and processor of a run."""
    return load_merged(base, run), load_processor(base)
