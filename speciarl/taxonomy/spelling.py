"""Names that an answer misspells by one letter.

Only long names of letters are compared, and only when one node alone is that near: two
designations that differ by a digit are two things.
"""

from collections.abc import Iterable, Mapping

_SHORTEST = 8  # letters; in shorter names one letter makes another word


class NearMisses:
    """Finds keys within one edit (a letter missing, added, changed, or two swapped)."""

    def __init__(self, numbers: Mapping[str, tuple[int, ...]]) -> None:
        self._numbers = numbers
        self._shorter: dict[str, list[str]] | None = None

    def find(self, key: str) -> tuple[int, ...]:
        """The nodes of the only name one edit away from the key, or none."""
        if len(key) < _SHORTEST or not key.isalpha():
            return ()
        if self._shorter is None:  # most datasets are never asked
            self._shorter = _by_deletion(k for k in self._numbers if len(k) >= _SHORTEST - 1)
        near = {
            known
            for shorter in (key, *_deletions(key))
            for known in self._shorter.get(shorter, ())
            if _one_edit(key, known)
        }
        nodes = {self._numbers[known] for known in near}
        return nodes.pop() if len(nodes) == 1 else ()


def _deletions(key: str) -> Iterable[str]:
    return {key[:i] + key[i + 1 :] for i in range(len(key))}


def _by_deletion(keys: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in keys:
        if key.isalpha():
            for shorter in (key, *_deletions(key)):
                found.setdefault(shorter, []).append(key)
    return found


def _one_edit(a: str, b: str) -> bool:
    """Whether one insertion, deletion, change or swap of neighbours turns a into b."""
    if abs(len(a) - len(b)) > 1 or a == b:
        return a == b
    same = zip(a, b, strict=False)
    start = next((i for i, (x, y) in enumerate(same) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    if len(a) == len(b):
        swapped = rest_a[:2] == rest_b[1::-1]
        return rest_a[1:] == rest_b[1:] or (swapped and rest_a[2:] == rest_b[2:])
    return rest_a[1:] == rest_b or rest_a == rest_b[1:]
