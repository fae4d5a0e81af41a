"""What every stage script shares: its log file, and one line for an expected failure."""

import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

from speciarl.errors import SpeciaRLError
from speciarl.progress import drawing, duration, say, speaking_as

Kind = TypeVar("Kind")


def section(params: Mapping[str, Any], name: str, kind: Callable[..., Kind]) -> Kind:
    """A section of params.yaml, typed; a rule names it whole, or key by key ("judge.model")."""
    prefix = f"{name}."
    keys = {key.removeprefix(prefix): v for key, v in params.items() if key.startswith(prefix)}
    return kind(**params.get(name, keys))


@contextmanager
def stage(log_file: str, alone: bool = False) -> Iterator[None]:
    """Run a stage with everything it prints in its log; the terminal gets the time it took.

    Started by hand it is `alone` on the terminal, and may draw on it.

    An expected failure leaves one line on the terminal and in the log, and exit code 1; any other
    leaves its traceback in the log and its last line on the terminal.
    """
    terminal, started = sys.stderr, time.monotonic()
    name = "/".join(Path(log_file).with_suffix("").parts[1:])  # below logs/
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    with (
        speaking_as(name),
        Path(log_file).open("w", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        logging.basicConfig(
            stream=log,
            level=logging.INFO,
            format="%(asctime)s %(message)s",
            datefmt="%T",
            force=True,
        )
        try:
            with drawing(alone):
                yield
            say(duration(time.monotonic() - started))
        except SpeciaRLError as error:
            print(error)
            print(f"error: {error}", file=terminal)
            sys.exit(1)
        except Exception as error:
            traceback.print_exc()
            print(f"fault: {type(error).__name__}: {error} (see {log_file})", file=terminal)
            sys.exit(1)
        finally:
            logging.getLogger().handlers.clear()  # its stream is about to be closed
