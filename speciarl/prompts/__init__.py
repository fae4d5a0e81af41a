"""Pools of prompts: the text files of a folder, chosen by name.

They are known here, so that the parameters can refuse a prompt that does not exist without the
policy or the judges.
"""

from pathlib import Path

from speciarl.errors import ConfigError

FOR_THE_POLICY = Path(__file__).with_name("policy")
FOR_THE_JUDGES = Path(__file__).with_name("judge")
FOR_MEASURES = Path(__file__).with_name("measures")


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
    return path.read_text("utf-8").strip()
