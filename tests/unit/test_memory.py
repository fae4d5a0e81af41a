"""What keeps a step of GRPO small, and that it changes nothing of what is learned."""

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from transformers import GenerationMixin

from speciarl.policy.chat import chat_text
from speciarl.policy.loading import load_processor
from speciarl.policy.miniature.architecture import build_model, build_processor, build_tokenizer
from speciarl.policy.miniature.curriculum import all_texts
from speciarl.schemas import COUNTED
from speciarl.training import grpo
from speciarl.training.job import Inputs, Job, Settings
from speciarl.training.memory import parts_of, process_once

PROMPTS, ROLLOUTS = 2, 4
GRPO = {
    "steps": 2, "prompts_per_step": PROMPTS, "updates_per_step": 2, "per_device_batch_size": 2,
    "checkpoint_every": 2, "max_new_tokens": 6,
}  # fmt: skip


def noise(seed, size=(56, 56)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tokenizer = build_tokenizer(all_texts())
    build_model(tokenizer, seed=0).save_pretrained(folder)
    processor = build_processor(tokenizer, 56)
    processor.image_processor.size = {"shortest_edge": 3136, "longest_edge": 9408}
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def processor(base):
    return load_processor(base)


def counted(function, seen):
    def count(*given, **named):
        seen.append(given)
        return function(*given, **named)

    return count


class Bridge:
    """Rewards by what was said; keeps it."""

    __name__ = "bridge"

    def __init__(self):
        self.source, self.predictions = None, []
        self.rows, self.said = [], []

    def __call__(self, completion_ids, trainer_state, **_):
        counts = dict.fromkeys(COUNTED, 0)
        self.rows.append({"step": trainer_state.global_step, "reward": 0.5, **counts})
        self.said += completion_ids
        return [float(sum(ids) % 7) for ids in completion_ids]

    def note_groups(self, **counts):
        self.rows[-1] |= counts


@pytest.fixture
def train(base, tmp_path):
    """Trains a few steps: what was opened, what was said, and the adapters."""
    for i in range(5):
        noise(i, (56, 56 if i % 2 else 84)).save(tmp_path / f"{i}.png")
    samples = {"class_name": list("abcde"), "image": [f"{i}.png" for i in range(5)]}
    pl.DataFrame(samples).write_parquet(tmp_path / "samples.parquet")

    def run(name, **over):
        settings = Settings(
            run={"method": "grpo", "num_generations": ROLLOUTS}, grpo=GRPO | over,
            lora={"rank": 2}, verifier={},
        )  # fmt: skip
        inputs = Inputs(tmp_path, base=base, samples=tmp_path / "samples.parquet")
        job = Job("name", 9, settings, inputs, tmp_path / f"work-{name}", tmp_path / name)
        job.into.mkdir()
        bridge = Bridge()
        grpo.train_grpo(job, bridge)
        return bridge.said, (job.into / "adapter_model.safetensors").read_bytes()

    return run


def test_an_image_is_opened_and_processed_once_a_step_and_nothing_changes(train, monkeypatch):
    opened, processed, generated = [], [], []
    monkeypatch.setattr(Job, "open_image", counted(Job.open_image, opened))
    with monkeypatch.context() as patch:
        # as TRL does by itself
        patch.setattr(grpo, "lru_cache", lambda most: lambda function: function)
        patch.setattr(grpo, "process_once", lambda processor, most: None)
        expected = train("plain")
    looked_at = 5
    micro_batches = PROMPTS * ROLLOUTS // 2
    assert len(opened) - looked_at == 2 * PROMPTS * ROLLOUTS * micro_batches

    opened.clear()

    def watched(processor, most):
        processor._process_images = counted(processor._process_images, processed)
        process_once(processor, most)

    monkeypatch.setattr(grpo, "process_once", watched)
    monkeypatch.setattr(GenerationMixin, "generate", counted(GenerationMixin.generate, generated))
    assert train("ours") == expected
    assert len(opened) - looked_at == len(processed) == 2 * PROMPTS
    assert len(generated) == 2


def test_generation_is_cut_to_the_tokens_allowed_and_stays_reproducible(train, monkeypatch):
    shapes = []

    def generate(model, original=GenerationMixin.generate, **inputs):
        shapes.append(tuple(inputs["input_ids"].shape))
        return original(model, **inputs)

    monkeypatch.setattr(GenerationMixin, "generate", generate)
    first = train("first", generation_tokens=150, steps=1)
    assert sum(rows for rows, _ in shapes) == len(first[0]) == PROMPTS * ROLLOUTS
    assert all(rows * (prompt + GRPO["max_new_tokens"]) <= 150 for rows, prompt in shapes)
    assert max(rows for rows, _ in shapes) == 3
    assert train("second", generation_tokens=150, steps=1) == first
    prompt = shapes[0][1]
    for allowed, expected in ((3 * prompt, 2), (1, 1)):  # the completions count; one row at least
        shapes.clear()
        train(f"within {allowed}", generation_tokens=allowed, steps=1)
        assert max(rows for rows, _ in shapes) == expected


def test_parts_hold_what_the_processor_made_of_their_prompts(processor):
    images = [noise(i, (28 * (2 + i % 3), 56)) for i in range(5)]
    text = chat_text(processor, "plain")
    fields = processor(images=images, text=[text] * 5)
    fields = {k: v for k, v in fields.items() if k not in ("input_ids", "attention_mask")}
    for size in (1, 2, 5, 7):
        parts = list(parts_of(fields, 5, size))
        assert [range(5)[part] for part, _ in parts] == [
            range(5)[start : start + size] for start in range(0, 5, size)
        ]
        for part, cut in parts:
            alone = processor(images=images[part], text=[text] * len(images[part]))
            assert set(cut) == set(fields)
            assert np.array_equal(cut["pixel_values"], alone["pixel_values"])
            assert np.array_equal(cut["image_grid_thw"], alone["image_grid_thw"])
            assert cut["mm_token_type_ids"] == alone["mm_token_type_ids"]


def test_what_is_remembered_of_an_image_is_what_is_made_of_it(base, processor):
    images = [noise(0), noise(1, (84, 56)), noise(2)]
    shown = [images[i] for i in (0, 1, 0, 2, 1)]
    text = [chat_text(processor, "plain")] * len(shown)
    expected = load_processor(base)(images=shown, text=text, return_tensors="pt", padding=True)
    seen = []
    processor._process_images = counted(processor._process_images, seen)
    process_once(processor, 3)
    for _ in range(2):
        found = processor(images=[[i] for i in shown], text=text, return_tensors="pt", padding=True)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert len(seen) == 3


def test_no_more_images_are_remembered_than_allowed(processor):
    seen = []
    processor._process_images = counted(processor._process_images, seen)
    process_once(processor, 2)
    one, two, three = (noise(i) for i in range(3))
    text = [chat_text(processor, "plain")]
    for image in (one, two, two, one, three, two, one):
        processor(images=[image], text=text)
    assert len(seen) == 4  # one made way for three
