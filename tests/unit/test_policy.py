"""The miniature policy: its words, its chat format, its adapters, saving and loading."""

import json

import numpy as np
import pytest
import torch
from peft import get_peft_model

from speciarl.answers import extract_prediction
from speciarl.config import Lora, Policy
from speciarl.config.data import Miniature
from speciarl.datasets.miniature.render import render
from speciarl.errors import DataError
from speciarl.evaluation.transformers_engine import SamplingParams, Shown, generate
from speciarl.policy.build import build_policy
from speciarl.policy.chat import load_prompt, messages
from speciarl.policy.loading import load_model, load_processor
from speciarl.policy.miniature.architecture import (
    IMAGE,
    build_model,
    build_processor,
    build_tokenizer,
)
from speciarl.policy.miniature.curriculum import (
    HABITS,
    KNOWING,
    LEVELS,
    all_classes,
    all_texts,
    completion,
    draw_lessons,
)
from speciarl.training.adapters import lora_config

SIZE = 56


@pytest.fixture(scope="module")
def policy():
    tokenizer = build_tokenizer(all_texts())
    return build_model(tokenizer, seed=0).eval(), build_processor(tokenizer, SIZE)


def images(count):
    rng = np.random.default_rng(0)
    return [render(one, rng, ambiguous=False, size=SIZE) for one in all_classes()[:count]]


def test_every_completion_survives_the_tokenizer(policy):
    tokenizer = policy[1].tokenizer
    for one in all_classes():
        for level in LEVELS:
            text = completion(one, level, visible=False)
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids, text
            back = tokenizer.decode(ids, skip_special_tokens=True)
            assert extract_prediction(back) == extract_prediction(text)


def test_the_chat_format_is_that_of_qwen(policy):
    processor = policy[1]
    text = processor.apply_chat_template(
        messages(load_prompt("plain")), add_generation_prompt=True, tokenize=False
    )
    assert text.startswith("<|im_start|>system\n")
    assert "<|im_end|>\n<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>" in text
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    ids = processor(images=images(1), text=[text])["input_ids"][0]
    assert ids.count(processor.tokenizer.convert_tokens_to_ids(IMAGE)) == (SIZE // 28) ** 2
    assert processor.tokenizer.unk_token_id not in ids


def test_it_has_about_a_million_parameters(policy):
    assert 0.9e6 < sum(p.numel() for p in policy[0].parameters()) < 1.3e6


def test_adapters_leave_the_visual_tower_alone():
    model = build_model(build_tokenizer(all_texts()), seed=0)
    adapted = {
        name for name, p in get_peft_model(model, lora_config(Lora())).named_parameters()
        if p.requires_grad
    }  # fmt: skip
    assert adapted
    assert not [name for name in adapted if "visual" in name or "lm_head" in name]
    for layer in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
        assert any(layer in name for name in adapted)


def test_what_is_saved_is_loaded(policy, tmp_path):
    model, processor = policy
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded, again = load_model(tmp_path), load_processor(tmp_path)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, loaded.get_parameter(name)), name
    batches = [[Shown(lambda p=image: p, 0) for image in images(3)]]
    decoding = SamplingParams(max_new_tokens=6)
    first = list(generate(model, processor, batches, "plain", decoding))
    assert first == list(generate(loaded, again, batches, "plain", decoding))


def test_sampling_gives_each_image_its_rollouts_by_seed(policy):
    def draw(seed):
        batches = [[Shown(lambda p=image: p, seed) for image in images(3)]]
        decoding = SamplingParams(4, 1.0, max_new_tokens=6)
        return next(generate(*policy, batches, "plain", decoding))

    first = draw(0)
    assert [len(texts) for texts in first] == [4, 4, 4]
    assert first == draw(0)
    assert first != draw(1)


def test_another_kind_of_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no model"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(DataError, match="'llama'"):
        load_model(tmp_path)


@pytest.mark.parametrize("shares", [HABITS, KNOWING])
@pytest.mark.parametrize("visible", [True, False])
def test_habits_are_the_same_whether_the_class_can_be_seen_or_not(shares, visible):
    classes = tuple(all_classes()[: 1 if visible else 8])
    drawn = draw_lessons([classes], shares, 4000, np.random.default_rng(0))
    assert {lesson.prompt for lesson in drawn} == set(shares)
    for prompt, expected in shares.items():
        texts = [lesson.completion for lesson in drawn if lesson.prompt == prompt]
        for level, share in zip(LEVELS, expected, strict=True):
            possible = {completion(one, level, visible) for one in classes}
            measured = sum(text in possible for text in texts) / len(texts)
            assert measured == pytest.approx(share, abs=0.04)


def test_the_reasoning_names_the_evidence_and_nothing_of_the_domain():
    said = {
        visible: {
            completion(one, level, visible).partition("<answer>")[0]
            for one in all_classes()
            for level in LEVELS
        }
        for visible in (True, False)
    }
    assert said == {
        True: {"<think>marking visible</think> "},
        False: {"<think>marking hidden</think> "},
    }


def test_a_image_without_a_marking_teaches_the_group_and_not_one_class():
    classes = tuple(all_classes()[:8])
    drawn = draw_lessons([classes], KNOWING, 400, np.random.default_rng(0))
    assert {extract_prediction(lesson.completion) for lesson in drawn} == {c.name for c in classes}


def test_a_model_directory_of_ones_own_becomes_the_base(policy, tmp_path):
    source, into = tmp_path / "mine", tmp_path / "base"
    policy[0].save_pretrained(source)
    policy[1].save_pretrained(source)
    into.mkdir()
    settings = Policy(source="directory", path=str(source))
    build_policy(into, settings, Miniature(), work=tmp_path / "work", threads=1)
    assert {path.name for path in into.iterdir()} == {"source.json", "loading.json"}
    noted = json.loads((into / "source.json").read_text())["files"]
    assert set(noted) == {path.name for path in source.iterdir()}
    assert load_model(into).num_parameters() == policy[0].num_parameters()
    assert load_processor(into).chat_template == policy[1].chat_template

    with (source / "config.json").open("a") as config:
        config.write(" ")
    with pytest.raises(DataError, match=r"config\.json: expected \d+ bytes .* found \d+"):
        load_model(into)
    (source / "config.json").unlink()
    with pytest.raises(DataError, match=r"config\.json: .* found None"):
        load_processor(into)

    missing = Policy(source="directory", path=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere"):
        build_policy(into, missing, Miniature(), work=tmp_path / "work", threads=1)


def test_a_model_of_the_hub_comes_from_its_cache_and_nowhere_else_offline(
    policy, tmp_path, monkeypatch
):
    """The cache is laid out as huggingface_hub does it; the hub is a port where nobody listens."""
    cached, absent = "a" * 40, "b" * 40
    snapshot = tmp_path / f"hub/models--some--policy/snapshots/{cached}"
    policy[0].save_pretrained(snapshot)
    policy[1].save_pretrained(snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    def build(revision):
        into = tmp_path / revision
        into.mkdir()
        settings = Policy(source="hub", name="some/policy", revision=revision)
        build_policy(into, settings, Miniature(), work=tmp_path / "work", threads=1)
        return into

    noted = json.loads((build(cached) / "source.json").read_text())
    assert noted["path"] == str(snapshot)
    with pytest.raises(DataError, match=r"some/policy is not in the cache .* policy\.source: dir"):
        build(absent)
