"""Pools of prompts: the text files of a folder, chosen by name."""

from pathlib import Path

from speciarl.errors import ConfigError


def names_in(folder: Path) -> list[str]:
    """Names of a pool's prompts, sorted."""
    return sorted(path.stem for path in folder.glob("*.txt"))


def load_from(folder: Path, name: str) -> str:
    """Text of one prompt, without surrounding whitespace.

    Raises:
        ConfigError: there is no such prompt.
    """
    path = folder / f"{name}.txt"
    if not path.is_file():
        raise ConfigError(f"prompt {name!r} does not exist, choose one of {names_in(folder)}")
    return path.read_text().strip()
