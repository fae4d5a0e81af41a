"""Generates completions for images with vLLM, greedy or sampled.

vLLM is an extra of a GPU machine, so it is imported only when an engine is opened.
"""

import importlib.util
import os
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import torch
from PIL import Image

from speciarl.datasets.images import BadImage
from speciarl.errors import ConfigError
from speciarl.evaluation.transformers_engine import (
    Batches,
    Completions,
    Engine,
    SamplingParams,
    Shown,
    opened,
)
from speciarl.policy.chat import load_prompt, messages
from speciarl.policy.loading import adapter_rank
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


def open_vllm(
    base: Path, runs: Sequence[Path], work: Path, tensor_parallel: int = 1
) -> Iterator[Engine]:
    """Load a base policy into vLLM, and give an engine for each run: the base with its adapters.

    It computes in bfloat16 on a GPU, in float32 without one. The engine runs in this process. Its
    scheduling is then the same every time, and no process of its own imports the workflow's script
    and starts it a second time.

    Args:
        base: directory of the base policy.
        runs: directory of each run, with or without adapters.
        work: where a copy of the base goes, if vLLM cannot take it as it is.
        tensor_parallel: how many devices share the weights.

    Raises:
        ConfigError: vLLM is not installed.
        DataError: adapters are of another base.
    """
    require_vllm()
    ranks = [adapter_rank(base, run) for run in runs]
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM
    from vllm.config.lora import MaxLoRARanks
    from vllm.lora.request import LoRARequest

    on_gpu = torch.cuda.is_available()
    llm = LLM(
        model=str(servable(base, work)),
        dtype="bfloat16" if on_gpu else "float32",
        tensor_parallel_size=tensor_parallel,
        max_model_len=-1,  # the model's own, or what memory allows
        enforce_eager=not on_gpu,
        # Without a GPU vLLM 0.31 breaks off where it cuts the prompt of a seeded request in two.
        enable_chunked_prefill=on_gpu,
        limit_mm_per_prompt={"image": 1, "video": 0},
        mm_processor_kwargs=pixel_limits(base),
        enable_lora=any(ranks),
        max_lora_rank=min(size for size in get_args(MaxLoRARanks) if size >= max(1, *ranks)),
    )
    for number, (run, rank) in enumerate(zip(runs, ranks, strict=True), 1):
        # Names and numbers tell adapters apart; the number 0 stands for none.
        yield partial(generate, llm, LoRARequest(run.name, number, str(run)) if rank else None)


def generate(llm, adapters, batches: Batches, prompt: str, decoding: SamplingParams) -> Completions:
    """The `rollouts` completions of each image.

    Up to `batch_size` sequences are with the engine at a time: as some end, the next image is
    opened and handed over, whatever its batch. Each image is drawn by its own seed, which vLLM does
    row by row.

    Args:
        llm: a `vllm.LLM`.
        adapters: a `LoRARequest`, or None for the policy that was loaded.
        prompt: name of the prompt put with every image.
        decoding: sampling settings; equal seeds draw the same completions, though other ones than
            transformers does.
    """
    engine, tokenizer = llm.llm_engine, llm.get_tokenizer()
    said: dict[str, list[str]] = {}  # by request
    asked = deque[list[str | BadImage]]()  # batches handed over: requests, or why there is none

    def step() -> None:
        for request in engine.step():
            # The tokenizer spells a completion as it does for transformers.
            ids = [completion.token_ids for completion in request.outputs]
            said[request.request_id] = tokenizer.batch_decode(ids, skip_special_tokens=True)

    def hand_over(shown: Shown) -> str | BadImage:
        image = opened(shown)
        if isinstance(image, BadImage):
            return image
        while 0 < engine.get_num_unfinished_requests() > decoding.batch_size - decoding.rollouts:
            step()
        chat, how = conversation(image, prompt), sampling(decoding, shown.seed)
        (request,) = llm.enqueue_chat([chat], [how], use_tqdm=False, lora_request=adapters)
        return request.partition("-")[0]  # within the engine it has a suffix

    def finished() -> bool:
        return all(isinstance(one, BadImage) or one in said for one in asked[0])

    def oldest() -> list[list[str] | BadImage]:
        return [one if isinstance(one, BadImage) else said.pop(one) for one in asked.popleft()]

    for batch in batches:
        asked.append([hand_over(shown) for shown in batch])
        while asked and finished():
            yield oldest()
    while asked:
        while not finished():
            step()
        yield oldest()


def conversation(image: Image.Image, prompt: str) -> list[dict]:
    """One user turn in the chat format of vLLM: an image, then the question."""
    shown = {"type": "image_pil", "image_pil": image}
    return [
        {**turn, "content": [shown if p["type"] == "image" else p for p in turn["content"]]}
        for turn in messages(load_prompt(prompt))
    ]


def sampling(decoding: SamplingParams, seed: int):
    """Sampling parameters of one image; its n completions are drawn by n seeds in a row."""
    from vllm import SamplingParams

    return SamplingParams(
        n=decoding.rollouts,
        temperature=decoding.temperature,
        top_p=decoding.top_p if decoding.temperature else 1.0,
        max_tokens=decoding.max_new_tokens,
        seed=seed,
        detokenize=False,
    )
