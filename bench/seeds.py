"""What a seed of its own for each request costs vLLM, in milliseconds a step, on this machine.

A step draws one token for each sequence from Qwen2.5-VL-7B's vocabulary. With seeds vLLM draws the
noise row by row, and leaves out FlashInfer's kernel on a GPU. Needs vLLM: run it in the environment
that `make test-vllm` makes.
"""

import time

import torch
from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler

VOCABULARY = 152_064
STEPS = 3


def milliseconds(rows: int, seeded: bool, device: str) -> float:
    sampler = TopKTopPSampler()
    generators = {i: torch.Generator(device).manual_seed(i) for i in range(rows if seeded else 0)}
    top_p = torch.full((rows,), 0.95, device=device)
    times = []
    for _ in range(STEPS + 1):
        logits = torch.randn(rows, VOCABULARY, device=device)
        started = time.perf_counter()
        tokens, _ = sampler(logits, generators, None, top_p)
        tokens.sum().item()  # waits for the device
        times.append(time.perf_counter() - started)
    return 1000 * min(times[1:])


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"sequences  without seeds  with seeds  ({device}, ms a step)")
    for rows in (8, 64) if device == "cpu" else (8, 64, 256):
        plain, seeded = (milliseconds(rows, seeded, device) for seeded in (False, True))
        print(f"{rows:9}  {plain:13.1f}  {seeded:10.1f}")


if __name__ == "__main__":
    main()
