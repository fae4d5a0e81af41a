"""Loading a policy: from directories whole, foreign or broken, as its parameters say."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from peft import get_peft_model
from PIL import Image

from speciarl.config import Evaluation, Lora, Policy, Run
from speciarl.errors import ConfigError, DataError
from speciarl.evaluation.parts import Prediction
from speciarl.evaluation.predict import predict_parts
from speciarl.policy.build import take_model
from speciarl.policy.chat import chat_text
from speciarl.policy.loading import (
    adapter_rank,
    choose_device,
    load_merged,
    load_model,
    load_processor,
    loading_of,
    note_loading,
)
from speciarl.policy.miniature.architecture import build_model, build_processor, build_tokenizer
from speciarl.policy.miniature.curriculum import all_texts
from speciarl.training.adapters import lora_config
from speciarl.training.job import Inputs, Settings
from speciarl.training.run import Outputs, train

SIZE = 56
IMAGES = [Image.new("RGB", (SIZE, SIZE), color) for color in ("red", "green")]


@pytest.fixture(scope="module")
def policy():
    tokenizer = build_tokenizer(all_texts())
    return build_model(tokenizer, seed=0).eval(), build_processor(tokenizer, SIZE)


@pytest.fixture
def stock(policy, tmp_path):
    """A directory laid out as Qwen's own: no processor_config.json, the template in JSON."""
    folder = tmp_path / "stock"
    for part in policy:
        part.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.json").write_text(
        json.dumps({"chat_template": policy[1].chat_template})
    )
    saved = json.loads((folder / "processor_config.json").read_text())["image_processor"]
    (folder / "processor_config.json").unlink()
    size = saved.pop("size")
    limits = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
    saved |= limits | {"processor_class": "Qwen2_5_VLProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(saved))
    return folder


def link(source, into, **settings):
    into.mkdir(exist_ok=True)
    take_model(source, into)
    note_loading(Policy(source="directory", path=str(source), **settings), into)
    return into


def in_the_tokenizer(folder):
    template = json.loads((folder / "chat_template.json").read_text())
    (folder / "chat_template.json").unlink()
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | template))


@pytest.mark.parametrize("laid_out", [lambda folder: None, in_the_tokenizer])
def test_a_stock_directory_is_taken_wherever_its_template_is(laid_out, stock, policy, tmp_path):
    laid_out(stock)
    processor = load_processor(link(stock, tmp_path / "base"))
    shown = {"images": IMAGES[:1], "text": [f"{processor.image_token} what?"]}
    assert processor(**shown)["input_ids"] == policy[1](**shown)["input_ids"]
    assert processor.chat_template == policy[1].chat_template


def cut(name):
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - 9)


def without(name):
    return lambda folder: (folder / name).unlink()


def sharded(folder):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def no_place(folder):
    template = {"chat_template": "{{ messages[0].role }}"}
    (folder / "chat_template.json").write_text(json.dumps(template))


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (without("config.json"), "holds no model"),
        (cut("config.json"), r"config\.json: expected JSON"),
        (without("model.safetensors"), "model.safetensors holds no whole weights"),
        (cut("model.safetensors"), "model.safetensors holds no whole weights"),
        (sharded, "model-2.safetensors holds no whole weights"),
        (without("tokenizer.json"), "cannot be asked about an image"),
        (without("preprocessor_config.json"), "cannot be asked about an image"),
        (without("chat_template.json"), "cannot be asked about an image"),
        (cut("tokenizer_config.json"), "cannot be asked about an image"),
        (no_place, "leaves no place for an image"),
    ],
)
def test_a_wrong_or_incomplete_directory_is_refused_when_it_is_linked(
    broken, line, stock, tmp_path
):
    broken(stock)
    with pytest.raises(DataError, match=f"^{stock}.*{line}") as refused:
        link(stock, tmp_path / "base")
    assert "\n" not in str(refused.value)


def test_a_directory_needs_a_gpu_unless_it_says_cpu(stock, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(ConfigError, match=rf"{stock} and there is no GPU .* policy.device: cpu"):
        choose_device(link(stock, tmp_path / "base"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    choose_device(stock)  # the miniature, as it was built here
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    choose_device(tmp_path / "base")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    choose_device(link(stock, tmp_path / "base", device="cpu"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""  # nothing is put on one


def test_no_job_begins_without_the_gpu_that_its_policy_needs(stock, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    base, nowhere = link(stock, tmp_path / "base"), tmp_path / "nowhere"
    with pytest.raises(ConfigError, match="no GPU here"):
        prediction = Prediction(base, nowhere, [nowhere], Run(), Evaluation(), nowhere)
        predict_parts(prediction, [], nowhere, threads=1)
    settings = Settings(run={"method": "sft"}, verifier={})
    with pytest.raises(ConfigError, match="no GPU here"):
        inputs = Inputs(nowhere, base=base, samples=nowhere)
        train("run", settings, inputs, Outputs(*[nowhere] * 5), threads=1)
    assert not nowhere.exists()


@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_attention_is_what_the_parameters_say(name, stock, tmp_path):
    base = link(stock, tmp_path / "base", attn_implementation=name)
    config = load_model(base).config
    found = (config._attn_implementation, config.vision_config._attn_implementation)
    assert found == (name, name)


@pytest.mark.parametrize("name", ["flash_attention_2", "flash_attention_3"])
def test_attention_that_is_not_installed_is_named(name, stock, tmp_path):
    base = link(stock, tmp_path / "base", attn_implementation=name)
    with pytest.raises(ConfigError, match=f"attn_implementation is '{name}'.*or set sdpa") as found:
        load_model(base)
    assert "\n" not in str(found.value) and len(str(found.value)) < 500


@pytest.mark.parametrize(
    ("limit", "tokens"), [(None, 1088 * 1920 // 28**2), (401_408, 500), (784, 1)]
)
def test_images_are_scaled_down_to_the_pixels_allowed(limit, tokens, stock, tmp_path):
    config = stock / "preprocessor_config.json"
    limits = {"min_pixels": 3136, "max_pixels": 12_845_056}
    config.write_text(json.dumps(json.loads(config.read_text()) | limits))
    processor = load_processor(link(stock, tmp_path / "base", max_pixels=limit))
    ids = processor(images=[Image.new("RGB", (1920, 1080))], text=[processor.image_token])
    found = len(ids["input_ids"][0])
    assert found <= (limit or np.inf) / 28**2 and found == pytest.approx(tokens, rel=0.05)


def test_the_miniature_says_how_it_is_loaded_too(tmp_path):
    note_loading(Policy(max_pixels=1000, device="cpu", seed=3), tmp_path)
    assert loading_of(tmp_path).model_dump() == {
        "device": "cpu", "attn_implementation": "sdpa", "max_pixels": 1000,
    }  # fmt: skip
    assert loading_of(tmp_path / "nowhere") == loading_of(tmp_path).model_copy(
        update={"device": None, "max_pixels": None}
    )


@pytest.fixture
def adapters(policy, tmp_path):
    """Adapters that change what the model says."""
    folder = tmp_path / "run"
    adapted = get_peft_model(build_model(policy[1].tokenizer, seed=0), lora_config(Lora()))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.1)
    adapted.save_pretrained(folder)
    return folder


def wider(config):
    config["text_config"] |= {"intermediate_size": 2 * config["text_config"]["intermediate_size"]}


def deeper(config):
    text = config["text_config"]
    layers = text["num_hidden_layers"] + 1
    config["text_config"] |= {
        "num_hidden_layers": layers, "layer_types": ["full_attention"] * layers,
    }  # fmt: skip


def shallower(config):
    text = config["text_config"]
    layers = text["num_hidden_layers"] - 1
    config["text_config"] |= {
        "num_hidden_layers": layers, "layer_types": ["full_attention"] * layers,
    }  # fmt: skip


def test_adapters_are_merged_into_their_base(stock, adapters):
    merged = load_merged(stock, adapters)
    assert not torch.equal(
        merged.get_parameter("model.language_model.layers.0.mlp.up_proj.weight"),
        load_model(stock).get_parameter("model.language_model.layers.0.mlp.up_proj.weight"),
    )


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
@pytest.mark.parametrize("change", [wider, deeper, shallower])
def test_adapters_of_another_base_are_refused(change, stock, adapters, policy, tmp_path):
    config = policy[0].config.to_dict()
    change(config)
    other = shutil.copytree(stock, tmp_path / "other")
    type(policy[0])(type(policy[0].config)(**config)).save_pretrained(other)
    with pytest.raises(DataError, match=f"{adapters} has adapters of another .* than {other}") as e:
        load_merged(other, adapters)
    assert "\n" not in str(e.value) and len(str(e.value)) < 1000
    with pytest.raises(DataError) as without_weights:
        adapter_rank(other, adapters)
    assert str(without_weights.value) == str(e.value)


def test_the_rank_of_adapters_is_told_without_the_weights(stock, adapters, tmp_path):
    (stock / "model.safetensors").unlink()
    assert adapter_rank(stock, adapters) == Lora().rank
    assert adapter_rank(stock, tmp_path) == 0


def graph_of(model, processor):
    """Whether the visual tower's output is part of a graph, and the gradients of what learns."""
    seen = []
    hook = model.model.visual.register_forward_hook(lambda m, i, out: seen.append(out))
    adapted = get_peft_model(model, lora_config(Lora()))
    adapted.train()
    adapted.enable_input_require_grads()
    adapted.gradient_checkpointing_enable({"use_reentrant": False})
    text = chat_text(processor, "plain") + "bird"
    inputs = processor(images=IMAGES, text=[text] * 2, return_tensors="pt")
    torch.manual_seed(0)
    adapted(**inputs, labels=inputs["input_ids"]).loss.backward()
    hook.remove()
    learned = {n: p.grad for n, p in adapted.named_parameters() if p.grad is not None}
    return seen[0].last_hidden_state, learned


def test_a_frozen_visual_tower_keeps_no_graph_and_all_else_learns_as_before(policy, stock):
    def gradients(loaded):
        torch.manual_seed(1)
        return graph_of(loaded, policy[1])

    plain = load_model(stock)
    del plain.model.get_image_features  # as transformers has it
    before, expected = gradients(plain)
    after, found = gradients(load_model(stock))
    assert before.requires_grad and not after.requires_grad
    assert torch.equal(before, after) and set(found) == set(expected)
    assert any(grad.any() for grad in found.values())
    assert all(torch.equal(found[name], grad) for name, grad in expected.items())


def test_a_visual_tower_that_learns_keeps_its_graph(policy, stock):
    model = load_model(stock).train()
    inputs = policy[1](images=IMAGES[:1], text=[policy[1].image_token], return_tensors="pt")
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert model.model.visual.patch_embed.proj.weight.grad.any()
