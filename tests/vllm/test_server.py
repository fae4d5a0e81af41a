"""What the project relies on in a real vLLM server."""

import requests

from speciarl.verdicts import LABELS
from tests.vllm.server import MODEL

QUESTION = {"role": "user", "content": "Herring Gull, gull: which label?"}


def ask(server, **extra):
    body = {"model": MODEL, "messages": [QUESTION], "temperature": 0, "max_tokens": 16, **extra}
    answered = requests.post(f"{server.url}/chat/completions", json=body, timeout=60)
    answered.raise_for_status()
    return answered.json()["choices"][0]["message"]["content"]


def test_a_choice_constrains_the_prediction(server):
    assert ask(server, structured_outputs={"choice": list(LABELS)}) in LABELS
    for label in LABELS:
        assert ask(server, structured_outputs={"choice": [label]}) == label


def test_the_older_parameter_is_silently_ignored(server):
    """Why every prediction is checked against the labels, whatever the request asked for."""
    assert ask(server, guided_choice=list(LABELS)) not in LABELS
