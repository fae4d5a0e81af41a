"""What a stage says on the terminal, while everything else that it prints goes to its log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds between two lines of a long loop
Item = TypeVar("Item")

_speaker: tuple[TextIO, str] | None = None  # of the stage that this process runs


@contextmanager
def speaking_as(name: str) -> Iterator[None]:
    """Let `say` write to what is the terminal now, whatever is redirected later."""
    global _speaker
    before, _speaker = _speaker, (sys.stderr, name)
    try:
        yield
    finally:
        _speaker = before


def say(text: str) -> None:
    """One line on the terminal, in one piece: stages that run side by side share it."""
    stream, name = _speaker or (sys.stderr, "")
    stream.write(f"  {name:<28} {text}\n" if name else f"{text}\n")
    stream.flush()


def duration(seconds: float) -> str:
    """`34 s`, `2 min 05 s` or `1 h 10 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


class Progress:
    """How far a long loop is: a line twice a minute, on the terminal and in the log.

    Args:
        unit: what is counted, in the plural.
        total: how many there are.
        done: how many an earlier start has done.
    """

    def __init__(self, unit: str, total: int, done: int = 0) -> None:
        self.unit = unit
        self.total = total
        self.first = done
        self.started = self.said = time.monotonic()

    def reached(self, done: int) -> None:
        """Take note that `done` of `total` are done."""
        now = time.monotonic()
        if now - self.said < EVERY or done <= self.first:
            return
        self.said = now
        left = (now - self.started) / (done - self.first) * (self.total - done)
        text = f"{done} of {self.total} {self.unit}, {duration(left)} left"
        say(text)
        log.info(text)


def track(items: Iterable[Item], unit: str, total: int) -> Iterator[Item]:
    """The items of a long loop, with its progress."""
    progress = Progress(unit, total)
    for number, item in enumerate(items, 1):
        yield item
        progress.reached(number)
