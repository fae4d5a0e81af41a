"""Generates completions for images with vLLM, in batches, greedy or sampled.

vLLM is an extra of a GPU machine, so it is imported only when an engine is opened.
"""

import importlib.util
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from speciarl.errors import ConfigError
from speciarl.evaluation.transformers_engine import (
    Completions,
    Engine,
    Openers,
    SamplingParams,
    in_batches,
)
from speciarl.policy.chat import load_prompt, messages
from speciarl.policy.serving import pixel_limits, servable


def require_vllm() -> None:
    """See that vLLM is installed, before any work is done.

    Raises:
        ConfigError: it is not.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "evaluation.engine is 'vllm', which is not installed here: install it with "
            '`pip install -e ".[vllm]" -c constraints.txt` or set `transformers`'
        )


def open_vllm(base: Path, run: Path, work: Path) -> Engine:
    """Load the policy of a run into vLLM: bfloat16 on a GPU, float32 without one.

    The engine runs in this process. Its scheduling is then the same every time, and no process
    of its own imports the workflow's script and starts it a second time.

    Args:
        base: directory of the base policy.
        run: directory of the run, with or without adapters.
        work: where a copy with the adapters merged in goes, if one is needed.

    Raises:
        ConfigError: vLLM is not installed.
    """
    require_vllm()
    model = servable(base, run, work)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM

    on_gpu = torch.cuda.is_available()
    llm = LLM(
        model=str(model),
        dtype="bfloat16" if on_gpu else "float32",
        max_model_len=-1,  # the model's own, or what memory allows
        enforce_eager=not on_gpu,
        # Without a GPU vLLM 0.31 breaks off where it cuts the prompt of a seeded request in two.
        enable_chunked_prefill=on_gpu,
        limit_mm_per_prompt={"image": 1, "video": 0},
        mm_processor_kwargs=pixel_limits(base),
    )
    return partial(generate, llm)


def generate(llm, images: Openers, prompt: str, decoding: SamplingParams) -> Completions:
    """The `rollouts` completions of each image.

    Args:
        llm: a `vllm.LLM`.
        prompt: name of the prompt put with every image.
        decoding: sampling settings; the same seed draws the same completions, though other ones
            than transformers does.
    """
    tokenizer = llm.get_tokenizer()

    def complete(opened: dict[int, Image.Image]) -> Iterator[list[str]]:
        answered = llm.chat(
            [conversation(image, prompt) for image in opened.values()],
            [sampling(decoding, place) for place in opened],
            use_tqdm=False,
        )
        for request in answered:
            # The tokenizer spells a completion as it does for transformers.
            ids = [completion.token_ids for completion in request.outputs]
            yield tokenizer.batch_decode(ids, skip_special_tokens=True)

    yield from in_batches(images, decoding.images_together, complete)


def conversation(image: Image.Image, prompt: str) -> list[dict]:
    """One user turn in the chat format of vLLM: an image, then the question."""
    shown = {"type": "image_pil", "image_pil": image}
    return [
        {**turn, "content": [shown if p["type"] == "image" else p for p in turn["content"]]}
        for turn in messages(load_prompt(prompt))
    ]


def sampling(decoding: SamplingParams, image: int):
    """Sampling parameters of one image, by its place.

    vLLM draws the n completions of a request with n seeds in a row, so every image has as many
    of its own.
    """
    from vllm import SamplingParams

    return SamplingParams(
        n=decoding.rollouts,
        temperature=decoding.temperature,
        top_p=decoding.top_p if decoding.temperature else 1.0,
        max_tokens=decoding.max_new_tokens,
        seed=decoding.seed + image * decoding.rollouts,
        detokenize=False,
    )
