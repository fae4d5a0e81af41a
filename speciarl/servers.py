"""Servers of language models: started until a block ends, and found by a file that names them.

`speciarl serve` writes the address of a server into a file once it answers. Jobs wait for the file
and for the server, wherever and whenever Slurm has started it, and read it anew when it is gone.
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from speciarl.errors import ServerError
from speciarl.files import atomic_write
from speciarl.progress import say
from speciarl.stage import end_with_parent

FILE = "file:"
"""What an address begins with that stands in a file."""
START_SECONDS = 1800.0
"""For loading the weights, and vLLM's own compilation."""
POLL_SECONDS = 1.0


def stated_file(address: str) -> Path | None:
    """The file that names the address, where one does."""
    return Path(address.removeprefix(FILE)) if address.startswith(FILE) else None


def read_address(file: Path) -> str | None:
    """What a file says at the moment."""
    with suppress(OSError):
        return file.read_text().strip() or None
    return None


def locate(file: Path, seconds: float) -> str:
    """The address in a file, once it is there and the server answers.

    Says what it waits for.

    Raises:
        ServerError: that was too long.
    """
    deadline, said = time.monotonic() + seconds, ""
    while True:
        address = read_address(file)
        if address and _healthy(address):
            return address
        missing = f"{file}: the server at {address} to answer" if address else f"the file {file}"
        if time.monotonic() > deadline:
            raise ServerError(
                f"waited {seconds:g} s for {missing}: see that `speciarl serve` runs, then start "
                "again"
            )
        if missing != said:
            say(f"waits for {missing}")
        said = missing
        time.sleep(POLL_SECONDS)


@contextmanager
def named(address: str, file: Path) -> Iterator[None]:
    """Let a file name an address until the block ends."""
    with atomic_write(file) as partial:
        partial.write_text(address + "\n")
    try:
        yield
    finally:
        if read_address(file) == address:  # and not that of a server started since
            file.unlink()


@contextmanager
def serving(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen]:
    """Run a server until the block ends, which begins once it answers.

    Args:
        log: for what it prints.
        environment: variables that it has beside, or instead of, those of this process.

    Raises:
        ServerError: it ended, or did not answer in time.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            preexec_fn=end_with_parent,
        ) as process,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}", process, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(
                f"the server ended with exit code {process.returncode} before it answered: see "
                f"{log}"
            )
        if _healthy(address):
            return
        time.sleep(POLL_SECONDS)
    raise ServerError(f"the server did not answer in {START_SECONDS / 60:g} minutes: see {log}")


def _healthy(address: str) -> bool:
    with suppress(requests.RequestException):  # not up yet
        return requests.get(f"{address}/health", timeout=5).ok
    return False
