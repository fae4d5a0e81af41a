"""The prompt pool: one text file per question put to the policy."""

from pathlib import Path

from speciarl.prompts import load_from, names_in

FOLDER = Path(__file__).with_name("prompts")


def prompt_names() -> list[str]:
    """Names usable as `prompt:` of a run."""
    return names_in(FOLDER)


def load_prompt(name: str) -> str:
    """Text of one prompt, without surrounding whitespace.

    Raises:
        ConfigError: there is no such prompt.
    """
    return load_from(FOLDER, name)


def messages(prompt: str) -> list[dict]:
    """One user turn in the chat format of transformers: a picture, then the question."""
    return [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]},
    ]
