"""What every stage script shares: its log file, and one line for an expected failure."""

import ctypes
import io
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, TypeVar

from speciarl.devices import own_gpus
from speciarl.disk import FULL, disk_error
from speciarl.errors import SpeciaRLError
from speciarl.progress import drawing, duration, say, speaking_as

Kind = TypeVar("Kind")
_DEATH_OF_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def section(params: Mapping[str, Any], name: str, kind: Callable[..., Kind]) -> Kind:
    """A section of params.yaml, typed; a rule names it whole, or key by key ("judge.model")."""
    prefix = f"{name}."
    keys = {key.removeprefix(prefix): v for key, v in params.items() if key.startswith(prefix)}
    return kind(**params.get(name, keys))


def code_of_job(params: Mapping[str, Any]) -> dict[str, str]:
    """The digests of a job's code among its params, by folder: these alone end in a slash."""
    return {name: digest for name, digest in params.items() if name.endswith("/")}


class _Lossy(io.FileIO):
    """A file that loses what a full disk has no room for: its writer fails of its own work only."""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return len(data)


def _open_log(path: Path, fresh: bool) -> io.TextIOWrapper:
    """The log of a stage, written line by line, in UTF-8 whatever the locale is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            path.write_bytes(b"")
        file = _Lossy(path, "a")  # which other processes add to
    except OSError as error:
        print(f"error: {disk_error(error, path) or error}", file=sys.stderr)
        sys.exit(1)
    return io.TextIOWrapper(file, "utf-8", "backslashreplace", line_buffering=True)  # type: ignore


@contextmanager
def stage(log_file: str, alone: bool = False, gpus: int | None = None) -> Iterator[None]:
    """Run a stage with everything it prints in its log; the terminal gets the time it took.

    Of the GPUs it sees so many that no other job has; all of them where no number is given.
    Started by hand it is `alone` on the terminal, and may draw on it; its log goes on after those
    of earlier starts.

    An expected failure leaves one line on the terminal and in the log, and exit code 1; any other
    leaves its traceback in the log and its last line on the terminal. Ctrl-C, which reaches every
    job, leaves a line in the log, nothing on the terminal, and exit code 130.

    Of the processes of a launcher (`accelerate launch`) only the first speaks on the terminal, all
    add to the log, and the launcher is told of a failure, which it reports.
    """
    terminal, started = sys.stderr, time.monotonic()
    rank = os.environ.get("RANK")
    name = "/".join(Path(log_file).with_suffix("").parts[1:])  # below logs/
    if rank is not None:
        terminal = os.fdopen(os.dup(2), "w")
    with (
        _open_log(Path(log_file), fresh=rank is None and not alone) as log,
        redirect_stderr(log if rank not in (None, "0") else terminal),
        speaking_as(name),
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        logging.basicConfig(
            stream=log,
            level=logging.INFO if rank in (None, "0") else logging.WARNING,
            format="%(asctime)s %(message)s",
            datefmt="%T",
            force=True,
        )
        if rank is not None:  # what libraries in C print of processes that are gone
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        try:
            with (
                drawing(alone),
                nullcontext() if rank else _ended_in_order(),
                nullcontext() if gpus is None else own_gpus(gpus),
            ):
                yield
            if rank is None:
                say(duration(time.monotonic() - started))
        except Exception as raised:
            _tell(disk_error(raised, Path(log_file).parent) or raised, log_file, terminal)
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted")
            sys.exit(130)
        finally:
            logging.getLogger().handlers.clear()  # its stream is about to be closed


def _tell(error: Exception, log_file: str, terminal: TextIO) -> None:
    """A failure's line on the terminal, or to the launcher, and the rest in the log."""
    if isinstance(error, SpeciaRLError):
        said = str(error)
        print(said)
    else:
        said = f"{type(error).__name__}: {error} (see {log_file})"
        traceback.print_exc()
    if report := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        told = {"message": said, "timestamp": int(time.time())}
        Path(report).write_text(json.dumps(told), "utf-8")
    else:
        kind = "error" if isinstance(error, SpeciaRLError) else "fault"
        print(f"{kind}: {said}", file=terminal)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let what is cancelled (SIGTERM, as of scancel) still come to its end in order."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone, even by kill -9."""
    ctypes.CDLL(None).prctl(_DEATH_OF_PARENT, signal.SIGTERM)
