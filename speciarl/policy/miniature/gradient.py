"""The gradient of a batch, in two halves, and a process of its own for the second one.

Two threads gain nothing on tensors this small (163 ms a step on one, 147 to 200 on two); two
processes with one thread each take 95. The halves are added the same way with and without the
second process, so that the bytes of the policy do not depend on it.
"""

from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import torch

from speciarl.errors import TrainingError
from speciarl.policy.miniature.curriculum import Lesson

Encode = Callable[[Sequence[Lesson]], Mapping[str, torch.Tensor]]


class Gradient:
    """Adds a batch's gradient to that of the model's parameters, and returns the batch's loss.

    Args:
        prepare: makes what encodes lessons; picklable, since the second process makes its own.
        processes: 1 or 2.

    Raises:
        TrainingError: on a call, after the second process has ended.
    """

    def __init__(
        self, model: torch.nn.Module, prepare: Callable[[], Encode], processes: int
    ) -> None:
        self.model, self.second = model, None
        if processes > 1:
            self.second = _Second(model, prepare)
        self.encode = prepare()

    def __call__(self, lessons: Sequence[Lesson]) -> float:
        halves = lessons[0::2], lessons[1::2]
        shares = [len(half) / len(lessons) for half in halves]
        if self.second:
            self.second.begin(halves[1], shares[1])
        loss = _add(self.model, self.encode, halves[0], shares[0])
        if self.second:
            return loss + self.second.add_to(self.model)
        return loss + _add(self.model, self.encode, halves[1], shares[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: object, trace: TracebackType | None) -> None:
        if self.second:
            self.second.end()


class _Second:
    """The other process: its model's weights are this one's, in shared memory."""

    def __init__(self, model: torch.nn.Module, prepare: Callable[[], Encode]) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        model.share_memory()
        self.gradients = [torch.zeros_like(p).share_memory_() for p in model.parameters()]
        arguments = theirs, model, self.gradients, prepare
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def begin(self, lessons: Sequence[Lesson], share: float) -> None:
        try:
            self.connection.send((lessons, share))
        except BrokenPipeError:
            self.gone()

    def add_to(self, model: torch.nn.Module) -> float:
        try:
            loss = self.connection.recv()
        except EOFError:
            self.gone()
        for parameter, gradient in zip(model.parameters(), self.gradients, strict=True):
            assert parameter.grad is not None
            parameter.grad += gradient
        return loss

    def gone(self) -> None:
        self.process.join()
        raise TrainingError(
            f"the second process of the pretraining ended with code {self.process.exitcode}: start "
            "again, what was trained is kept"
        )

    def end(self) -> None:
        self.connection.close()
        self.process.join()


def _add(model: torch.nn.Module, encode: Encode, lessons: Sequence[Lesson], share: float) -> float:
    if not lessons:
        return 0.0
    loss = model(**encode(lessons)).loss * share
    loss.backward()
    return loss.item()


def _serve(
    connection: Connection,
    model: torch.nn.Module,
    gradients: Sequence[torch.Tensor],
    prepare: Callable[[], Encode],
) -> None:
    """Compute what is asked for until the other end is closed."""
    torch.set_num_threads(1)
    encode = prepare()
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.grad = gradient
    while True:
        try:
            lessons, share = connection.recv()
        except EOFError:
            return
        for gradient in gradients:
            gradient.zero_()
        connection.send(_add(model, encode, lessons, share))
