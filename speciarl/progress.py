"""What a stage says on the terminal, while everything else that it prints goes to its log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    import rich.progress

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds between two lines of a long loop
Item = TypeVar("Item")

_speaker: tuple[TextIO, str] | None = None  # of the stage that this process runs
_alone = False
_bars: "list[rich.progress.Progress]" = []


@contextmanager
def speaking_as(name: str) -> Iterator[None]:
    """Let `say` write to what is the terminal now, whatever is redirected later."""
    global _speaker
    before, _speaker = _speaker, (sys.stderr, name)
    try:
        yield
    finally:
        _speaker = before


@contextmanager
def drawing(alone: bool) -> Iterator[None]:
    """Let loops draw a bar on the speaker's terminal, if it is alone there."""
    global _alone
    _alone = alone
    try:
        yield
    finally:
        _alone = False
        while _bars:
            _bars.pop().stop()  # which gives the terminal its cursor back


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

    Who is alone on a terminal (`drawing`) gets a bar instead.

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
        stream = _speaker[0] if _speaker else sys.stderr
        self.bar = _bar(stream) if _alone and stream.isatty() else None
        if self.bar:
            self.bar.add_task(unit, total=total, completed=done, note="")

    def reached(self, done: int, note: str = "") -> None:
        """Take note that `done` of `total` are done; `note` says how well it goes."""
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=done, note=note)
            if done >= self.total:
                self.bar.stop()
            return
        now = time.monotonic()
        if now - self.said < EVERY or done <= self.first:
            return
        self.said = now
        left = (now - self.started) / (done - self.first) * (self.total - done)
        parts = [f"{done} of {self.total} {self.unit}", note, f"{duration(left)} left"]
        text = ", ".join(filter(None, parts))
        say(text)
        log.info(text)


def _bar(stream: TextIO) -> "rich.progress.Progress":
    from rich import progress  # for few, and takes its time
    from rich.console import Console

    bar = progress.Progress(
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[note]}"),
        progress.TimeRemainingColumn(),
        console=Console(file=stream),
        redirect_stdout=False,  # which go to the log
        redirect_stderr=False,
    )
    bar.start()
    _bars.append(bar)
    return bar


def track(items: Iterable[Item], unit: str, total: int) -> Iterator[Item]:
    """The items of a long loop, with its progress."""
    progress = Progress(unit, total)
    for number, item in enumerate(items, 1):
        yield item
        progress.reached(number)
