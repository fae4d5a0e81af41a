"""A trained policy on custom images: what it says, and how far several samples agree."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from speciarl.answers import extract_prediction, normalize
from speciarl.config import Evaluation, Run
from speciarl.datasets.images import BadImage, open_image
from speciarl.datasets.readers.folders import SUFFIXES
from speciarl.errors import DataError
from speciarl.paths import WORK
from speciarl.taxonomy import Taxonomy


class Classified(NamedTuple):
    """What is said of one image."""

    image: str
    answer: str | None
    """The prediction given most often, among those that agree; None where none could be parsed."""
    agreed: str | None = None
    """The narrowest thing that more than half of the samples name, or name a kind of."""
    confidence: float | None = None
    """The share of the samples that do; None for a single one."""
    error: str | None = None
    """Why the image could not be shown."""


def images_in(paths: Sequence[Path]) -> list[Path]:
    """The images named, and of folders all below them that are images by name, sorted.

    Raises:
        DataError: a folder has none.
    """
    found: list[Path] = []
    for path in paths:
        below = sorted(path.rglob("*"))
        inside = [one for one in below if one.suffix.lower() in SUFFIXES and one.is_file()]
        if path.is_dir() and not inside:
            raise DataError(f"{path} holds no images: expected {', '.join(sorted(SUFFIXES))}")
        found += inside if path.is_dir() else [path]
    return found


def classify(
    images: Sequence[Path],
    base: Path,
    trained: Path,
    run: Run,
    settings: Evaluation,
    taxonomy: Taxonomy | None,
) -> Iterator[Classified]:
    """Each image in order; one that cannot be shown says why, and stops no other.

    Args:
        trained: folder of what a seed of the run has made of the base.
        run: its `best_of` is the number of samples; a single one is greedy.
        taxonomy: tells where samples agree; not needed for a single one.

    Raises:
        DataError: there is no trained policy.
    """
    if not base.is_dir() or not trained.is_dir():
        raise DataError(
            f"{trained if base.is_dir() else base} is not there: run `snakemake --cores all "
            f"{trained.parent}` to train it, or name another --run"
        )
    # Imported once there is something to classify: seconds.
    from transformers.utils import logging

    from speciarl.evaluation.predict import Shown, decoding_of, open_policies
    from speciarl.policy.loading import choose_device

    logging.disable_progress_bar()
    choose_device(base)
    (policy,) = open_policies(settings, base, [trained], WORK / "classify")
    shown = [Shown(partial(open_image, str(path), Path()), run.seeds[0]) for path in images]
    together = max(1, settings.batch_size // run.best_of)
    batches = [shown[first : first + together] for first in range(0, len(shown), together)]
    completions = chain.from_iterable(policy(batches, run.prompt, decoding_of(run, settings)))
    for path, texts in zip(images, completions, strict=True):
        if isinstance(texts, BadImage):
            yield Classified(str(path), None, error=str(texts))
            continue
        said = [extract_prediction(text, run.answer_tag) for text in texts]
        yield Classified(str(path), *(agreement(said, taxonomy) if taxonomy else said))


def agreement(
    said: Sequence[str | None], taxonomy: Taxonomy
) -> tuple[str | None, str | None, float | None]:
    """What several samples say of one image: answer, agreed and confidence of `Classified`.

    A prediction that no dataset knows stands for itself alone.
    """
    lineages = [taxonomy.lineage(text) or {normalize(text): 1} if text else {} for text in said]
    count = Counter(name for lineage in lineages for name in lineage)
    depth = {name: steps for lineage in lineages for name, steps in lineage.items()}
    shared = [name for name, times in count.items() if 2 * times > len(said)]
    agreed = max(shared, key=lambda name: (depth[name], count[name]), default=None)
    given = [t for t, lin in zip(said, lineages, strict=True) if t and agreed in (None, *lin)]
    answer = Counter(given).most_common(1)[0][0] if given else None
    return answer, agreed, count[agreed] / len(said) if agreed else None
