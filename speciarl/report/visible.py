"""Characters that act without being seen, made visible: names and predictions are untrusted."""

import json
import re

# Controls but newline and tab, separators of lines and paragraphs, surrogates, what is no character
# (XML has no place for it), and what turns the direction of the text around it.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff"
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def visible(text: str) -> str:
    """The text with each such character as Python would write it, `\\x1b` or `\\u202e`."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def json_line(value: object) -> str:
    """A value as JSON on one line, for programs and terminals: each such character escaped."""
    said = json.dumps(value, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", said)
