"""What the miniature policy is taught: to know the classes, then to prefer vague predictions.

First it learns the class names from rendered images, without instructions; then its predictions
are drawn from all levels, mostly vague under the plain prompt and mostly specific under "be
specific". The result behaves like the models the paper starts from: it can name the class, but
seldom does, and where it is asked to be specific it guesses. Its habits are the same whether the
class can be seen or not; that is said in the reasoning only, which training can make use of.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from speciarl.datasets.miniature.catalogue import MiniatureClass, catalogue
from speciarl.policy.chat import load_prompt

LEVELS = ("generic", "group", "name", "abstain")  # but for the last, fields of MiniatureClass

# Shares of the predictions by level, for each prompt.
Shares = dict[str, tuple[float, ...]]
NO_PROMPT = "none"
KNOWING: Shares = {NO_PROMPT: (0.0, 0.0, 1.0, 0.0)}
HABITS: Shares = {"plain": (0.24, 0.46, 0.28, 0.02), "be_specific": (0.04, 0.17, 0.79, 0.0)}


@dataclass(frozen=True)
class Lesson:
    """One training example: which image, which prompt, which completion."""

    image: int
    prompt: str
    completion: str


def text_of(prompt: str) -> str:
    """What the policy is asked under a prompt of the curriculum."""
    return "" if prompt == NO_PROMPT else load_prompt(prompt)


def completion(shown: MiniatureClass, level: str, visible: bool) -> str:
    """The full text that the policy should write for a class at a level.

    The reasoning names the evidence in words that are the same for all domains: whether the
    marking that tells the class is `visible`.
    """
    prediction = "None" if level == "abstain" else getattr(shown, level)
    seen = "visible" if visible else "hidden"
    return f"<think>marking {seen}</think> <answer>{prediction}</answer>"


def all_classes(per_group: int | None = None) -> list[MiniatureClass]:
    """Every class of every dataset, in catalogue order; of each group the first, where limited."""
    return [shown for classes in catalogue(per_group).values() for shown in classes]


def all_texts() -> Iterable[str]:
    """All words that the tokenizer has to know."""
    yield from map(text_of, HABITS)
    for shown in all_classes():
        yield from (shown.name, shown.group, shown.generic)
    yield "None marking visible hidden"


def draw_lessons(
    candidates: list[tuple[MiniatureClass, ...]],
    shares: Shares,
    count: int,
    rng: np.random.Generator,
) -> list[Lesson]:
    """`count` lessons over the given images.

    `candidates[i]` are the classes that image `i` may show: one, or all of a group where the
    marking is not visible. One of them is drawn, so that no such image can be memorised.
    """
    images = rng.integers(len(candidates), size=count)
    prompts = rng.choice(list(shares), size=count).tolist()
    lessons = []
    for image, prompt in zip(images, prompts, strict=True):
        possible = candidates[image]
        level = LEVELS[rng.choice(len(LEVELS), p=shares[prompt])]
        shown = possible[rng.integers(len(possible))]
        lessons.append(Lesson(int(image), prompt, completion(shown, level, len(possible) == 1)))
    return lessons
