"""The one protocol of all verifiers: pairs in, for each a verdict, a failure or "undecided" out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from speciarl.verdicts import Judgment, Pair


class Verifier(Protocol):
    """Judges pairs; the same identity gives the same verdicts."""

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything that can change a verdict, as plain JSON values."""
        ...

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgment]]:
        """Each of some distinct pairs with its judgment, in any order, as soon as it is known.

        Never raises for a single bad pair. Whoever asks can thus keep what was paid for, whatever
        happens to the rest.
        """
        ...
