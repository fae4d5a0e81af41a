"""A real vLLM server on a free loopback port, to start, kill and start again."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path

MODEL = "judge"
START_SECONDS = 240
STOP_SECONDS = 60


class Server:
    """Serves a model directory on the port that it keeps over restarts.

    Args:
        model: the directory.
        folder: where the log goes; pytest keeps it, and its end is shown where a start fails.
    """

    def __init__(self, model: Path, folder: Path) -> None:
        self.model = model
        self.log = folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start, or start again, and wait until it answers."""
        self.kill()
        command = (
            sys.executable, "-m", "vllm.entrypoints.openai.api_server",
            "--model", str(self.model), "--served-model-name", MODEL,
            "--host", "127.0.0.1", "--port", str(self.port),
            "--enforce-eager", "--dtype", "bfloat16", "--max-num-seqs", "16",
        )  # fmt: skip
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.healthy():
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the server did not start:\n{self.log.read_text()[-5000:]}")
            time.sleep(0.5)

    def healthy(self) -> bool:
        try:
            return self._get("/health").status == 200
        except (OSError, HTTPException):
            return False

    def answered(self) -> int:
        """How many requests it has answered since it started, by its own count."""
        text = self._get("/metrics").read().decode()
        counts = re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", text, re.MULTILINE)
        return round(sum(map(float, counts)))

    def _get(self, path: str) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse()

    def kill(self) -> None:
        """kill -9 of the server and the processes that it started; nothing where none runs."""
        if self.process is not None:
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_SECONDS)
            self.process = None
