"""Servers that run until a block ends, and jobs that find them by a file; the server is a fake."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
import yaml

from speciarl import servers
from speciarl.cli import serve as command
from speciarl.config import load
from speciarl.errors import ConfigError, ServerError
from speciarl.servers import free_port, locate, named, serving
from speciarl.training import launch
from speciarl.verdicts import Verdict
from tests.fake_judge import judge_at, only, says
from tests.fake_judge import serving as judging
from tests.presets import ROOT, files_of

SERVER = """
import http.server, os, sys
print(os.environ["CUDA_VISIBLE_DEVICES"], os.environ.get("ASKED_FOR"), flush=True)
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
http.server.HTTPServer(("0.0.0.0", int(sys.argv[1])), Health).serve_forever()
"""


def fake(port):
    return [sys.executable, "-c", SERVER, str(port)]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(servers, "POLL_SECONDS", 0.02)
    monkeypatch.setenv("NO_PROXY", "*")


def test_a_server_is_up_while_it_is_needed(tmp_path):
    port, log = free_port(), tmp_path / "logs/server.log"
    given = {"CUDA_VISIBLE_DEVICES": "2,3", "ASKED_FOR": "1"}
    with serving(fake(port), port, log, given):
        assert requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
    assert log.read_text().startswith("2,3 1\n")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/health", timeout=5)


def test_a_server_that_ends_is_told_with_its_log(tmp_path):
    failing = [sys.executable, "-c", "import sys; sys.exit(3)"]
    with (
        pytest.raises(ServerError, match=r"ended with exit code 3 .*: see .*server\.log"),
        serving(failing, free_port(), tmp_path / "server.log", {}),
    ):
        raise AssertionError


def test_a_job_waits_for_the_file_then_for_the_server_and_says_so(tmp_path, capsys):
    file, port = tmp_path / "judge.url", free_port()
    address = f"http://127.0.0.1:{port}"
    found = []
    job = threading.Thread(target=lambda: found.append(locate(file, 60)))
    job.start()
    time.sleep(0.1)
    with named(address, file):  # too early: nobody answers there yet
        time.sleep(0.2)
        assert not found
        with serving(fake(port), port, tmp_path / "log", {"CUDA_VISIBLE_DEVICES": ""}):
            job.join(30)
    assert found == [address]
    assert not file.exists()
    said = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in said] == [
        f"waits for the file {file}",
        f"waits for {file}: the server at {address} to answer",
    ]


def test_a_job_does_not_wait_for_ever(tmp_path):
    file = tmp_path / "judge.url"
    with pytest.raises(ServerError, match=rf"waited 0.1 s for the file {file}: see that `speciarl"):
        locate(file, 0.1)
    file.write_text("http://127.0.0.1:1\n")
    with pytest.raises(ServerError, match=r"the server at http://127.0.0.1:1 to answer: see"):
        locate(file, 0.1)


def test_a_file_of_a_server_started_since_is_left_alone(tmp_path):
    file = tmp_path / "judge.url"
    with named("http://one:1", file):
        file.write_text("http://two:2\n")
    assert file.read_text() == "http://two:2\n"


def test_the_judge_is_asked_where_the_file_says_also_after_its_server_died(tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "_healthy", lambda address: True)
    file = tmp_path / "judge.url"
    judge = judge_at(f"file:{file}", retries=2)
    with judging(lambda request: says("specific")) as first:
        file.write_text(first.url.removesuffix("/v1"))
        assert only(judge).verdict is Verdict.SPECIFIC
    dead = file.read_text()
    with judging(lambda request: says("generic")) as second:

        async def restarted(seconds):
            """The server comes back elsewhere while a request of the judge waits for its retry."""
            assert file.read_text() == dead
            file.write_text(second.url.removesuffix("/v1"))

        monkeypatch.setattr(judge.server, "_sleep", restarted)
        assert only(judge).verdict is Verdict.GENERIC


def test_a_training_takes_its_rollouts_from_where_the_file_says(tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "_healthy", lambda address: True)
    file = tmp_path / "rollouts.url"
    file.write_text("http://node7:8000\n")
    params = load([ROOT / "params.yaml"], {
        "training": {"rollouts": "vllm-server", "server": f"file:{file}"},
    })  # fmt: skip
    settings = launch.settings_of(params, "speciarl")
    with launch._devices_shared_out(settings, tmp_path) as address:
        assert address == "http://node7:8000"


SECTION = {
    "backend": "llm",
    "model": {"kind": "server", "name": "a/judge", "revision": "c" * 40},
    "server": {"base_url": "file:work/servers/judge.url", "devices": 4},
}


def test_the_command_is_that_of_the_section():
    params = load([ROOT / "params.yaml"], {"judge": SECTION})
    file, devices = command._described(params, command.What.JUDGE, command.Whose.JUDGE)
    assert (file, devices) == (Path("work/servers/judge.url"), 4)
    words, beside = command._command(params, command.What.JUDGE, command.Whose.JUDGE, 8123, devices)
    assert " ".join(words[1:]) == (
        "-m vllm.entrypoints.openai.api_server --model a/judge --revision " + "c" * 40
        + " --host 0.0.0.0 --port 8123 --tensor-parallel-size 4"
    )  # fmt: skip
    assert beside == {}  # no endpoints of a development mode for who can reach the port


@pytest.mark.parametrize(
    ("what", "section", "said"),
    [
        ("judge", "judge", "judge.model: expected kind: server"),
        ("rollouts", "judge", "training.server is None: expected the file"),
    ],
)
def test_what_no_section_describes_is_one_line(what, section, said):
    params = load([ROOT / "params.yaml"])
    with pytest.raises(ConfigError, match=re.escape(said)):
        command._described(params, command.What(what), command.Whose(section))


def test_an_address_stated_outright_leaves_no_file_to_write():
    params = load(files_of("judge-vllm"))
    with pytest.raises(ConfigError, match=r"judge\.server\.base_url is 'http://localhost:8001/v1'"):
        command._described(params, command.What.JUDGE, command.Whose.JUDGE)


def test_served_from_the_command_line_until_it_is_ended(tmp_path):
    """In a project of its own, with a program in the place of vLLM."""
    for name in ("params.yaml", "data", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "vllm/entrypoints/openai").mkdir(parents=True)
    program = SERVER.replace("sys.argv[1]", 'sys.argv[sys.argv.index("--port") + 1]')
    (tmp_path / "vllm/entrypoints/openai/api_server.py").write_text(program)
    preset = tmp_path / "preset.yaml"
    preset.write_text(yaml.safe_dump({"workspace": "mine", "judge": SECTION}))
    process = subprocess.Popen(
        [
            sys.executable, "-m", "speciarl.cli.main", "serve", "judge",
            "--params", "params.yaml", "--params", str(preset),
        ],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    file = tmp_path / "workspaces/mine/work/servers/judge.url"
    address = locate(file, 60)
    assert requests.get(f"{address}/health", timeout=5).ok
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"{address} answers, as work/servers/judge.url says" in said
    assert not file.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{address}/health", timeout=5)
