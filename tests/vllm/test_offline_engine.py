"""The miniature policy answers about images through vLLM's offline engine."""

import polars as pl
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image

from speciarl.answers import extract_prediction, normalize
from speciarl.config import Evaluation, Policy, Run, VerifierConfig
from speciarl.datasets.images import BadImage
from speciarl.evaluation.parts import Prediction, gather
from speciarl.evaluation.predict import open_policies, predict_parts
from speciarl.evaluation.transformers_engine import SamplingParams, Shown
from speciarl.evaluation.vllm_engine import conversation
from speciarl.policy.build import take_model
from speciarl.policy.chat import chat_text
from speciarl.policy.loading import load_model, load_processor, note_loading
from speciarl.policy.miniature.curriculum import all_classes
from speciarl.verdicts import Pair
from speciarl.verifiers.factory import build_verifier
from tests.vllm.conftest import CLASSES, FACTS

TOKENS = 24
GREEDY = SamplingParams(max_new_tokens=TOKENS, batch_size=32)
# Measured: all predictions are equal. A tie between two tokens may fall differently elsewhere.
ALIKE = 0.95


def open_policy(engine, base, run, work):
    (policy,) = open_policies(Evaluation(engine=engine), base, [run], work)
    return policy


def said(engine, openers, decoding, prompt="plain", together=32, seed=0):
    """Image by image, batch by batch; the seed of an image goes by its place."""
    shown = [Shown(one, seed + place * decoding.rollouts) for place, one in enumerate(openers)]
    batches = [shown[start : start + together] for start in range(0, len(shown), together)]
    for completions in engine(batches, prompt, decoding):
        yield from completions


def release():
    """Free what vLLM keeps for the process, so that another engine can be opened in it."""
    from vllm.distributed import cleanup_dist_env_and_memory

    cleanup_dist_env_and_memory()


@pytest.fixture(scope="module")
def engine(policy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    yield open_policy("vllm", policy, folder, folder / "model")
    release()


@pytest.fixture(scope="module")
def greedy(engine, images):
    openers = [lambda p=image: p for image in images]
    return [text for (text,) in said(engine, openers, GREEDY)]


def share_alike(first, second):
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def test_greedy_answers_are_those_of_transformers(greedy, policy, images, tmp_path):
    reference = open_policy("transformers", policy, tmp_path, tmp_path)
    openers = [lambda p=image: p for image in images]
    expected = [text for (text,) in said(reference, openers, GREEDY)]
    assert len(set(expected)) > 5
    assert share_alike(greedy, expected) >= ALIKE


def test_answers_parse_and_are_judged(greedy):
    predictions = [extract_prediction(text) for text in greedy]
    assert None not in predictions
    names = [one.name for one in all_classes()]
    pairs = [Pair(name, normalize(a)) for name, a in zip(names, predictions, strict=True)]
    judged = dict(
        build_verifier(VerifierConfig(), FACTS, CLASSES).judge(list(dict.fromkeys(pairs)))
    )
    assert all(judged[pair].decided_by in ("rules", "taxonomy") for pair in pairs)
    correct = sum(judged[pair].verdict.correct for pair in pairs)
    assert correct > len(pairs) / 2


def test_samples_come_by_image_and_seed(engine, images):
    same = [lambda: images[0]] * 40

    def draw(seed, batch_size):
        sampled = SamplingParams(4, 1.5, 0.95, TOKENS, batch_size)
        return list(said(engine, same, sampled, "be_specific", batch_size // 4, seed))

    first = draw(0, 160)  # more tokens at once than vLLM takes in one step
    assert [len(texts) for texts in first] == [4] * 40
    assert len({text for texts in first for text in texts}) > 20
    assert len({tuple(texts) for texts in first}) > 20
    assert share_alike(first, draw(0, 32)) >= ALIKE
    assert share_alike(first, draw(1000, 160)) < 0.5


def test_so_many_sequences_are_in_flight_whatever_the_batches(engine, images, monkeypatch):
    llm, opened, most = engine.args[0], [], []

    def opener(number):
        return lambda: opened.append(number) or images[number]

    step = llm.llm_engine.step
    monkeypatch.setattr(
        llm.llm_engine,
        "step",
        lambda: most.append(llm.llm_engine.get_num_unfinished_requests()) or step(),
    )
    openers = [opener(i) for i in range(10)]
    predictions = said(engine, openers, SamplingParams(2, 1.0, 1.0, TOKENS, 8), together=3)
    assert opened == []
    assert len(list(predictions)) == 10
    assert opened == list(range(10))
    assert max(most) == 8


def test_an_image_that_does_not_open_costs_no_other_its_answer(engine, images, greedy):
    def broken():
        raise BadImage("b.png", "unreadable", "the file is empty")

    openers = [lambda: images[0], broken, lambda: images[1]]
    first, bad, second = said(engine, openers, GREEDY)
    assert (first, second) == ([greedy[0]], [greedy[1]]) and isinstance(bad, BadImage)
    release()


def test_images_have_the_pixels_that_the_policy_is_loaded_with(policy, tmp_path):
    limited = tmp_path / "base"
    limited.mkdir()
    take_model(policy, limited)
    note_loading(Policy(max_pixels=1568), limited)  # the miniature's own limit is twice that
    engine = open_policy("vllm", limited, tmp_path, tmp_path / "model")
    llm, image = engine.args[0], Image.new("RGB", (112, 112))
    (answered,) = llm.chat([conversation(image, "plain")], use_tqdm=False)
    processor = load_processor(limited)
    expected = processor(images=[image], text=[chat_text(processor, "plain")])["input_ids"][0]
    assert answered.prompt_token_ids == expected
    count = expected.count(processor.image_token_id)
    assert 0 < count <= 2
    release()


@pytest.fixture(scope="module")
def adapters(policy, tmp_path_factory):
    """A run's directory, with the adapters of two seeds that change what the policy says."""
    folder = tmp_path_factory.mktemp("adapters")
    for seed in (42, 43):
        torch.manual_seed(seed)
        config = LoraConfig(
            r=4, lora_alpha=8, target_modules="all-linear", exclude_modules=".*visual.*",
            init_lora_weights=False,
        )  # fmt: skip
        get_peft_model(load_model(policy), config).save_pretrained(folder / str(seed))
    return folder


def test_a_run_is_predicted_with_its_adapters(greedy, policy, adapters, manifest, tmp_path):
    tables = {}
    for name in ("transformers", "vllm"):
        prediction = Prediction(
            policy, adapters, [manifest], Run(seeds=[42, 43]), Evaluation(engine=name),
            tmp_path / "work",
        )  # fmt: skip
        predict_parts(prediction, prediction.parts(), manifest.parent, threads=1)
        (served,) = (tmp_path / "work").glob("served*") if name == "vllm" else [None]
        assert not served or not list(served.glob("adapter*"))
        gather(prediction, tmp_path / name)
        for seed in (42, 43):
            tables[name, seed] = pl.read_parquet(tmp_path / name / f"{seed}/mixed.parquet")
    release()
    assert not list((tmp_path / "work").glob("served*"))
    texts = {name: table["completion"].to_list() for name, table in tables.items()}
    for seed in (42, 43):
        one, other = (
            tables[name, seed].drop("completion", "prediction") for name in ("vllm", "transformers")
        )
        assert one.equals(other)
        assert share_alike(texts["vllm", seed], texts["transformers", seed]) >= ALIKE
        assert share_alike(texts["vllm", seed], greedy) < 0.5
    assert share_alike(texts["vllm", 42], texts["vllm", 43]) < 0.5
