"""What a stage says on the terminal while everything else it prints goes to its log."""

import logging
import sys
import time
from contextvars import ContextVar
from typing import TextIO

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds between two lines of a long loop
terminal: ContextVar[TextIO | None] = ContextVar("terminal", default=None)
name: ContextVar[str] = ContextVar("name", default="")


def say(text: str) -> None:
    """One line on the terminal, in one piece: stages that run side by side share it."""
    stream = terminal.get() or sys.stderr
    stream.write(f"  {name.get():<28} {text}\n")
    stream.flush()


def duration(seconds: float) -> str:
    """`34 s`, `2 min 05 s`, `1 h 10 min`."""
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
