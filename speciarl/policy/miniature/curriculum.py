"""What the miniature policy is taught: to know the classes, then to prefer vague predictions.

First it learns the class names from rendered images; then its predictions are drawn from all
levels, mostly vague under the plain prompt and mostly specific under "be specific". The result
behaves like the models the paper starts from: it can name the class, but seldom does.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from speciarl.datasets.miniature.catalogue import MiniatureClass, catalogue
from speciarl.policy.chat import load_prompt

PROMPTS = ("plain", "be_specific")
LEVELS = ("generic", "group", "name", "abstain")

# Shares of the predictions by level, for images whose class is seen and for those where it is not.
Shares = dict[str, tuple[float, ...]]
KNOWING: Shares = {"plain": (0.0, 0.0, 1.0, 0.0), "be_specific": (0.0, 0.0, 1.0, 0.0)}
HABITS: Shares = {"plain": (0.55, 0.25, 0.18, 0.02), "be_specific": (0.10, 0.30, 0.60, 0.0)}
HABITS_UNSEEN: Shares = {"plain": (0.60, 0.35, 0.03, 0.02), "be_specific": (0.20, 0.60, 0.18, 0.02)}


@dataclass(frozen=True)
class Lesson:
    """One training example: which image, which prompt, which completion."""

    image: int
    prompt: str
    completion: str


def completion(shown: MiniatureClass, level: str) -> str:
    """The full text that the policy should write for a class at a level."""
    prediction = {
        "generic": shown.generic,
        "group": shown.group,
        "name": shown.name,
        "abstain": "None",
    }[level]
    return f"<think>a {shown.generic}</think> <answer>{prediction}</answer>"


def all_classes() -> list[MiniatureClass]:
    """Every class of every dataset, in catalogue order."""
    return [shown for classes in catalogue().values() for shown in classes]


def all_texts() -> Iterable[str]:
    """All words that the tokenizer has to know."""
    for prompt in PROMPTS:
        yield load_prompt(prompt)
    for shown in all_classes():
        yield from (shown.name, shown.group, shown.generic)
    yield "a None"


def draw_lessons(
    candidates: list[tuple[MiniatureClass, ...]],
    shares: Shares,
    unseen: Shares,
    count: int,
    rng: np.random.Generator,
) -> list[Lesson]:
    """`count` lessons over the given images.

    `candidates[i]` are the classes that image `i` may show: one, or all of a group where the
    marking is not visible. One of them is drawn, so that no such image can be memorised.
    """
    images = rng.integers(len(candidates), size=count)
    prompts = rng.integers(len(PROMPTS), size=count)
    lessons = []
    for image, which in zip(images, prompts, strict=True):
        prompt, possible = PROMPTS[which], candidates[image]
        drawn_from = shares if len(possible) == 1 else unseen
        level = LEVELS[rng.choice(len(LEVELS), p=drawn_from[prompt])]
        shown = possible[rng.integers(len(possible))]
        lessons.append(Lesson(int(image), prompt, completion(shown, level)))
    return lessons
