"""What rows share is worked out once, and to the bit as row by row."""

import numpy as np
import pytest
import torch
from PIL import Image

from speciarl.policy.miniature.architecture import build_model, build_processor, build_tokenizer
from speciarl.policy.miniature.curriculum import all_texts
from speciarl.policy.repeats import share_repeats

SIZE = 56
GENERATOR = np.random.default_rng(0)
IMAGES = [Image.fromarray(GENERATOR.integers(0, 255, (SIZE, SIZE, 3), np.uint8)) for _ in range(3)]
TOKENIZER = build_tokenizer(all_texts())
PROCESSOR = build_processor(TOKENIZER, SIZE)
IMAGE = f"<|vision_start|>{PROCESSOR.image_token}<|vision_end|>"


def loaded(shared: bool, learns: bool = False):
    model = build_model(TOKENIZER, seed=0).eval().requires_grad_(learns)
    if shared:
        share_repeats(model)
    return model


@pytest.fixture(scope="module")
def models():
    return loaded(shared=False), loaded(shared=True)


def rows(*shown, **settings):
    """Rows of (image's number, words after it)."""
    return PROCESSOR(
        images=[IMAGES[image] for image, _ in shown],
        text=[IMAGE + " bird" * words for _, words in shown],
        return_tensors="pt", padding=True, **settings,
    )  # fmt: skip


def counted(owner, name):
    """The calls of a method, with their arguments, from now on."""
    calls, method = [], getattr(owner, name)

    def run(*given, **named):
        calls.append((given, named))
        return method(*given, **named)

    setattr(owner, name, run)
    return calls


@pytest.mark.parametrize("side", ["left", "right"])
def test_positions_are_those_of_each_row_whatever_its_layout(models, side):
    plain, shared = models
    inputs = rows((0, 1), (1, 5), (0, 1), (2, 3), (0, 5), padding_side=side)
    named = {k: v for k, v in inputs.items() if k != "pixel_values"}
    for one in (named, {k: v for k, v in named.items() if k != "attention_mask"}):
        expected = plain.model.get_rope_index(**one)
        found = shared.model.get_rope_index(**one)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert [a.dtype for a in found] == [a.dtype for a in expected]


def test_rows_laid_out_alike_are_worked_out_once():
    model = loaded(shared=False)
    calls = counted(model.model, "get_rope_index")
    share_repeats(model)
    inputs = rows((0, 1), (1, 5), (2, 1), (2, 1))
    model(**inputs)
    assert [len(given[0]) for given, _ in calls] == [2]


def test_rows_without_an_image_or_with_two_are_left_to_transformers(models):
    plain, shared = models
    two, none = IMAGE * 2 + " bird", "bird"
    inputs = PROCESSOR(images=IMAGES[:2], text=[two, none], return_tensors="pt", padding=True)
    named = {k: v for k, v in inputs.items() if k != "pixel_values"}
    for found, expected in zip(
        shared.model.get_rope_index(**named), plain.model.get_rope_index(**named), strict=True
    ):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("frozen", [True, False])
def test_an_image_goes_once_through_a_tower_that_learns_nothing(frozen):
    model = loaded(shared=True, learns=not frozen)
    calls = counted(model.model.visual, "forward")
    inputs = rows((0, 1), (1, 1), (0, 1), (2, 1), (1, 1))
    with torch.set_grad_enabled(frozen):
        found = model(**inputs).logits
    assert [len(named["grid_thw"]) for _, named in calls] == [3]
    assert torch.equal(found, loaded(shared=False)(**inputs).logits)


def test_images_that_differ_in_one_value_are_two():
    model = loaded(shared=True)
    calls = counted(model.model.visual, "forward")
    inputs = rows((0, 1), (0, 1))
    inputs["pixel_values"][-1, -1] += 1e-3
    model(**inputs)
    assert [len(named["grid_thw"]) for _, named in calls] == [2]


def test_images_of_one_content_and_two_shapes_are_two(models):
    plain, shared = models
    processor = build_processor(TOKENIZER, SIZE)
    processor.image_processor.max_pixels = processor.image_processor.size["longest_edge"] = 10**6
    shown = [Image.new("RGB", size, "white") for size in ((112, 56), (56, 112), (112, 56))]
    inputs = processor(images=shown, text=[IMAGE] * 3, return_tensors="pt", padding=True)
    assert len(inputs["image_grid_thw"].unique(dim=0)) == 2
    assert torch.equal(shared(**inputs).logits, plain(**inputs).logits)


def test_images_of_different_sizes_keep_their_places(models):
    plain, shared = models
    processor = build_processor(TOKENIZER, SIZE)
    processor.image_processor.max_pixels = processor.image_processor.size["longest_edge"] = 10**6
    shown = [IMAGES[0], IMAGES[1].resize((112, 84)), IMAGES[0], IMAGES[1].resize((84, 112))]
    inputs = processor(images=shown, text=[IMAGE] * 4, return_tensors="pt", padding=True)
    assert len(inputs["image_grid_thw"].unique(dim=0)) == 3
    assert torch.equal(shared(**inputs).logits, plain(**inputs).logits)


def test_sampled_completions_are_the_same(models):
    inputs = rows((0, 1), (1, 1), padding_side="left")
    sampling = {"do_sample": True, "num_return_sequences": 4, "max_new_tokens": 6}
    found = []
    for model in models:
        torch.manual_seed(3)
        found.append(model.generate(**inputs, **sampling))
    assert found[0].shape[0] == 8 and torch.equal(*found)


def test_a_tower_that_learns_sees_each_row_and_gets_all_gradients():
    gradients = []
    for shared in (False, True):
        model = loaded(shared, learns=True)
        calls = counted(model.model.visual, "forward")
        inputs = rows((0, 1), (0, 1))
        model(**inputs, labels=inputs["input_ids"]).loss.backward()
        assert [len(named["grid_thw"]) for _, named in calls] == [2]
        gradients.append(model.model.visual.patch_embed.proj.weight.grad)
    assert gradients[0].any() and torch.equal(*gradients)
