"""The prompt pool: one text file per question put to the policy."""

from pathlib import Path

from speciarl.errors import ConfigError

FOLDER = Path(__file__).with_name("prompts")


def prompt_names() -> list[str]:
    """Names usable as `prompt:` of a run."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def load_prompt(name: str) -> str:
    """Text of one prompt, without surrounding whitespace.

    Raises:
        ConfigError: there is no such prompt.
    """
    path = FOLDER / f"{name}.txt"
    if not path.is_file():
        raise ConfigError(f"prompt {name!r} does not exist, choose one of {prompt_names()}")
    return path.read_text().strip()


def messages(prompt: str) -> list[dict]:
    """One user turn in the chat format of transformers: a picture, then the question."""
    return [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]},
    ]
