"""A training whose completions come from a vLLM server: TRL's own protocol, against a fake of the
server and of the NCCL group, which exist on GPUs only. What the server does with it is not seen.
"""

import json
import shutil
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from trl.generation import vllm_client, vllm_generation

from speciarl.config import load
from speciarl.errors import TrainingError
from speciarl.policy.loading import load_model, load_processor
from speciarl.policy.miniature.curriculum import completion
from speciarl.servers import free_port
from speciarl.training import rollouts
from speciarl.training.launch import start
from tests import tiny

pytestmark = pytest.mark.chain

ROLLOUTS, STEPS = 4, 2


class FakeServer(ThreadingHTTPServer):
    """Answers each prompt with a completion of each level in turn; keeps what it is asked."""

    def __init__(self, tokenizer) -> None:
        super().__init__(("127.0.0.1", 0), FakeHandler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.calls: list[tuple[str, dict]] = []
        self.said = [
            tokenizer(completion(tiny.CLASSES[n % 2], level, visible=False) + "<|im_end|>")
            for n, level in enumerate(("name", "group", "generic", "name"))
        ]

    def answer(self, path: str, given: dict) -> dict:
        self.calls.append((path, given))
        if path == "/v1/models":
            return {"data": [{"id": "policy"}]}
        if path == "/v1/chat/completions/render":
            return {"features": {"mm_placeholders": {"image": [{"offset": 1, "length": 4}]}}}
        if path == "/inference/v1/generate":
            return {"choices": [choice(one["input_ids"]) for one in self.said]}
        return {}


def choice(ids: list[int]) -> dict:
    content = [{"token": f"token_id:{i}", "logprob": -0.5, "top_logprobs": []} for i in ids]
    return {"token_ids": ids, "logprobs": {"content": content}}


class FakeHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.reply({})

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"] or 0)
        self.reply(json.loads(self.rfile.read(length) or b"{}"))

    def reply(self, given: dict) -> None:
        content = json.dumps(self.server.answer(self.path, given)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        """Nothing on the terminal."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return tiny.create(tmp_path_factory.mktemp("rollouts") / "project")


@pytest.fixture
def updates(project, monkeypatch):
    """The weights of each update, as the group would carry them to the server."""
    received = []
    for module in (vllm_client, vllm_generation):
        monkeypatch.setattr(module, "is_vllm_available", lambda **_: True)
    monkeypatch.setattr(vllm_client.VLLMClient, "init_communicator", lambda client, device: None)
    group = SimpleNamespace(
        trainer_send_weights=lambda iterator, trainer_args: received.append(
            {name: tensor.clone() for name, tensor in iterator}
        )
    )
    monkeypatch.setattr(vllm_client, "NCCLWeightTransferEngine", group, raising=False)
    monkeypatch.setattr(vllm_client, "NCCLTrainerSendWeightsArgs", SimpleNamespace, raising=False)
    monkeypatch.setattr(rollouts, "find_spec", lambda name: "found")
    monkeypatch.chdir(project)
    return received


def train(project, address):
    tiny.change(
        project,
        grpo={"steps": STEPS, "updates_per_step": 1, "per_device_batch_size": 8},
        training={"rollouts": "vllm-server", "server": address},
    )
    start("speciarl", load([project / "params.yaml"]))


def test_completions_come_from_a_server_that_has_the_newest_weights(project, updates):
    processor = load_processor(project / "models/base")
    server = FakeServer(processor.tokenizer)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        train(project, server.address)
    finally:
        server.shutdown()
    asked = Counter(path for path, _ in server.calls)
    prompts = STEPS * 4
    assert asked["/v1/chat/completions/render"] == asked["/inference/v1/generate"] == prompts
    order = ["/start_weight_update", "/update_weights", "/finish_weight_update"]
    weights = [path for path, _ in server.calls if path in (*order, "/reset_prefix_cache")]
    assert weights == [*order, "/reset_prefix_cache"] * STEPS

    base = load_model(project / "models/base")
    names = dict(base.named_parameters())
    announced = [given["update_info"] for path, given in server.calls if path == order[1]]
    for sent, told in zip(updates, announced, strict=True):
        assert list(sent) == told["names"] and sent.keys() == names.keys()
        assert told["shapes"] == [list(tensor.shape) for tensor in sent.values()]
    first, second = (
        {name for name in names if not torch.equal(sent[name], names[name])} for sent in updates
    )
    assert not first  # adapters begin with nothing
    assert len(second) == 21 and not any("visual" in name or "embed" in name for name in second)

    image = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    for path, given in server.calls:
        if path == "/inference/v1/generate":
            (place,) = given["features"]["mm_placeholders"]["image"]
            ids = given["token_ids"]
            shown = ids[place["offset"] : place["offset"] + place["length"]]
            assert shown == [image] * 4 and ids.count(image) == 4  # once, and not expanded twice
            sampled = given["sampling_params"]
            assert (sampled["n"], sampled["temperature"], sampled["max_tokens"]) == (4, 1.0, 24)
    predicted = pl.read_parquet(project / "results/training/speciarl/predictions.parquet")
    assert predicted["count"].sum() == prompts * ROLLOUTS
    said = {completion(tiny.CLASSES[n], "name", visible=False) for n in (0, 1)}
    named = {f"<think>marking hidden</think> <answer>{p}</answer>" for p in predicted["prediction"]}
    assert {text.lower() for text in said} <= {text.lower() for text in named}


def test_a_server_that_is_not_there_is_one_line(project, updates, monkeypatch):
    shutil.rmtree(project / "work", ignore_errors=True)  # what is finished is trained no more
    monkeypatch.setattr(rollouts, "ANSWER_SECONDS", 0.0)
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TrainingError, match=f"rollout server at {address} cannot be reached"):
        train(project, address)
    assert not updates
