"""YAML files of parameters as plain values, and what no parameter may be made of.

Snakemake's own loader and the standard one keep the last of two equal keys, and meet a file that
is not UTF-8 or nests too deeply with a traceback; here each is one line.
"""

import unicodedata
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from speciarl.errors import ConfigError, one_line

NAME_LENGTH = 100  # characters: names become part of file names, which end at 255 bytes
_CONTROL = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, line separators


class _Loader(yaml.SafeLoader):
    """The safe loader, refusing a key that occurs twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, key in enumerate(keys):
            if key.value in [before.value for before in keys[:number]]:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is there twice: rename or remove one",
                    problem_mark=key.start_mark,
                )
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    """The sections of a file of parameters.

    Raises:
        ConfigError: one line that names the file, the line at fault and what was expected.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file of parameters") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: expected a file of parameters") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8: save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{where}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {one_line(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nests too deeply: three or four levels are enough") from None
    except ValueError as error:  # of a date that does not exist, or a number of 5,000 digits
        raise ConfigError(f"{path}: a value cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected sections of parameters")
    return content


def require_plain(value: Any, key: str = "") -> None:
    """Refuse names that are too long, and texts that no terminal, file name or page can hold.

    Raises:
        ConfigError: one line that names the key.
    """
    if isinstance(value, str):
        if bad := next((c for c in value if unicodedata.category(c) in _CONTROL), None):
            raise ConfigError(
                f"params: {key} holds {bad!a}: expected no line break, control character or half "
                "of a surrogate pair"
            )
    elif isinstance(value, Mapping):
        for name, one in value.items():
            if not isinstance(name, str):
                raise ConfigError(f"params: {key}: the key {name!r} is no text: put it in quotes")
            require_plain(name, f"{key or 'a key'}: the name {name[:NAME_LENGTH]!a}")
            if len(name) > NAME_LENGTH:
                raise ConfigError(
                    f"params: {key}: the name {name[:20]!r}… has {len(name)} characters, at most "
                    f"{NAME_LENGTH}"
                )
            require_plain(one, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for one in value:
            require_plain(one, key)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Sections with others over them, key by key at every depth."""
    both = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        both[key] = merged(base[key], value) if nested else value
    return both
