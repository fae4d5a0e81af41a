"""What a language model is told about a pair, and how its prediction is read."""

import json
from pathlib import Path

from speciarl.answers import DECIDING
from speciarl.files import content_hash
from speciarl.prompts import FOR_THE_JUDGES, load_from
from speciarl.verdicts import LABELS, Pair, Verdict


def load_prompt(name: str) -> str:
    """Text of one prompt; a ConfigError where there is no such prompt."""
    return load_from(FOR_THE_JUDGES, name)


def identity_of_question(prompt: str) -> dict[str, object]:
    """What the question contributes to a verifier's identity; `prompt` is the full text.

    What wrapping is does too: it decides which text is asked about.
    """
    return {
        "prompt": prompt,
        "code": content_hash([Path(__file__), *DECIDING]),
        "labels": list(LABELS),
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


def read_label(said: str) -> Verdict | None:
    """The label that a reply is, up to case, whitespace and quotes; None where it is no label."""
    label = said.strip().strip("\"'").strip().lower()
    return Verdict(label) if label in LABELS else None
