"""What a language model is told about a pair, and how its prediction is read."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from speciarl.answers import DECIDING
from speciarl.files import content_hash
from speciarl.prompts import FOR_MEASURES, FOR_THE_JUDGES, load_from, names_in
from speciarl.verdicts import Pair, Verdict

LONGEST_LABEL = 200  # characters of a reply after its thoughts; a longer one is a text
_FENCE = re.compile(r"\A```(?:\w+\n)?(.*?)```\Z", re.DOTALL)
_AROUND = " \n\t\r\"'`*_."
_PLAIN_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")


GRADES: Mapping[str, Verdict] = MappingProxyType({v.value: v for v in Verdict})
INCLUDED: Mapping[str, Verdict] = MappingProxyType({"0": Verdict.WRONG, "1": Verdict.SPECIFIC})


class Question(NamedTuple):
    """What is asked about a pair."""

    prompt: str
    """The full text."""
    replies: Mapping[str, Verdict]
    """The labels to choose from, and what each stands for."""


def load_question(name: str) -> Question:
    """The question of a prompt; a ConfigError where there is no such prompt."""
    if name in names_in(FOR_MEASURES):
        return Question(load_from(FOR_MEASURES, name), INCLUDED)
    return Question(load_from(FOR_THE_JUDGES, name), GRADES)


def identity_of_question(question: Question) -> dict[str, object]:
    """What the question contributes to a verifier's identity.

    What wrapping is does too: it decides which text is asked about.
    """
    return {
        "prompt": question.prompt,
        "code": content_hash([Path(__file__), *DECIDING]),
        "labels": list(question.replies),
    }


def messages(prompt: str, pair: Pair) -> list[dict[str, str]]:
    """The chat about one pair: the prompt, then the pair as one JSON object.

    The prediction is untrusted text. As a JSON string it cannot leave its quotes, and with `<`
    escaped it cannot spell a control token of a chat template, such as an end of turn.
    """
    question = json.dumps(
        {"class": pair.class_name, "prediction": pair.written}, ensure_ascii=False
    ).replace("<", "\\u003c")
    return [{"role": "system", "content": prompt}, {"role": "user", "content": question}]


def read_label(said: str, replies: Mapping[str, Verdict] = GRADES) -> Verdict | None:
    """What a reply stands for that is one of the labels, however it is dressed; None where it is
    none, or more than that.

    Thoughts before it are passed over. A fence, JSON of one field, emphasis, quotes and a full stop
    around it, hyphens or underscores for spaces, and its case do not count.
    """
    text = said.rpartition("</think>")[2].strip()
    if len(text) > LONGEST_LABEL:
        return None
    text = _only_field(_FENCE.sub(r"\1", text)).translate(_PLAIN_QUOTES)
    label = " ".join(re.split(r"[\s_-]+", text.strip(_AROUND).lower()))
    return replies.get(label)


def _only_field(text: str) -> str:
    """The text that a JSON object has as its only field; any other text as it is."""
    try:
        ((_, value),) = json.loads(text, object_pairs_hook=tuple)
    except (ValueError, TypeError, RecursionError):
        return text
    return value if isinstance(value, str) else text
