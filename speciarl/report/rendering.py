"""Templates into HTML: escaped throughout, nothing undefined, no character that acts unseen."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from speciarl.report.findings import UNDEFINED, printed, ranged, stated
from speciarl.report.visible import visible

_LONGEST = 120  # characters of a prediction that are shown


def render(template: str, values: Mapping[str, object]) -> str:
    """A template of `templates/` with these values; only `Markup` among them is not escaped.

    Raises:
        jinja2.UndefinedError: the template names a value that is not given.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    environment.filters |= {
        "cut": lambda text: text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…",
        "percent": lambda share: UNDEFINED if share is None else f"{share:.1%}",
        "printed": printed,
        "thousands": "{:,}".format,
    }
    environment.globals |= {"ranged": ranged, "stated": stated, "UNDEFINED": UNDEFINED}
    return environment


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
