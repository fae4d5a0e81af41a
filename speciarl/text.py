"""What a completion says: the answer in its tags, its normal form, refusals, several answers.

Every rule reads untrusted text and none of them raises.
"""

import re
import unicodedata
from functools import lru_cache

NORMALISER_VERSION = 1  # part of a verifier's fingerprint: raise it when `normalise` changes
_KEPT = 100_000  # results kept for each rule: a policy says the same thing again and again
MAX_ANSWER = 200  # characters; a label is shorter, what is longer is a text and not an answer

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_MARKUP = re.compile(r"[*_`#~]+(?=\S)|(?<=\S)[*_`#~]+")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})
_SPACE = re.compile(r"\s+")

_REFUSAL = re.compile(
    r"""^(?:
        none(?:\s+of\s+(?:these|them|the\s+above))? | n/?a | null | nothing
      | (?:no|not\s+a)\s+(?:idea|answer|label|prediction|guess)\b.*
      | (?:it\s+is\s+|it's\s+)?(?:unknown|unidentified|unidentifiable|unclear|undetermined|uncertain
            |indeterminate|unrecogni[sz]able|unspecified)
        (?:\s+(?:animal|bird|species|breed|aircraft|airplane|plane|car|vehicle|flower|plant|dog|cat
            |food|dish|object|model|type|kind|make|variant|variety))*
      | (?:(?:i\s+am|i'm|we\s+are)\s+)?not\s+(?:sure|certain)\b.*
      | (?:i\s+)?(?:do\s+not|don't|cannot|can't|can\s+not|could\s+not|couldn't)\s+
        (?:know|tell|say|see|determine|identify|recogni[sz]e|make\s+out|be\s+(?:sure|certain))\b.*
      | (?:i\s+am\s+|i'm\s+)?(?:unable|not\s+able)\s+to\b.*
      | (?:impossible|hard|difficult)\s+to\s+(?:say|tell|determine|identify|know)\b.*
      | .*\b(?:cannot|can't|can\s+not|could\s+not|couldn't)\s+be\s+
        (?:identified|determined|recogni[sz]ed|seen|told|known)\b.*
      | .*\btoo\s+(?:blurry|blurred|dark|small|unclear|far)\b.*
    )$""",
    re.VERBOSE,
)

_LISTED = re.compile(r"(?:^|\s)(?:\d+[.)]|[-•])\s+\S.*\s(?:\d+[.)]|[-•])\s+\S")
_OR = re.compile(r"\b(?:or|either|versus|vs\.?)\b")
_SLASH = re.compile(r"[^\W\d]{3,}\s*/\s*[^\W\d]{3,}|\s/\s")
_COMMA = re.compile(r"[,;]\s*\S")


def extract_answer(completion: str) -> str | None:
    """The text between the answer tags.

    Returns:
        The stripped answer, or None where the completion has no answer, an empty one, or more
        than one: such an output is unparsable.
    """
    found = _ANSWER.findall(completion)
    if len(found) != 1 or completion.count("<answer>") != 1 or completion.count("</answer>") != 1:
        return None
    return found[0].strip() or None


@lru_cache(_KEPT)
def normalise(answer: str) -> str:
    """The form under which an answer is judged and cached: case, markup and spacing removed.

    Commas and slashes stay, since they tell several answers from one. Idempotent.
    """
    text = unicodedata.normalize("NFKC", answer)
    text = text.translate(_QUOTES).casefold()
    text = unicodedata.normalize("NFKC", text)
    previous = None
    while text != previous:
        previous = text
        text = _MARKUP.sub("", text)
        text = _SPACE.sub(" ", text).strip(" \"'.!?:;,")
    return text


@lru_cache(_KEPT)
def is_refusal(answer: str) -> bool:
    """Whether a normalised answer declines to name anything."""
    return _REFUSAL.match(answer) is not None


@lru_cache(_KEPT)
def several_answers(answer: str) -> bool:
    """Whether a normalised answer offers more than one label.

    "A or B", "A / B", a list, and "A, B" are several; "and" or "&" within a name is not, nor is
    a comma or slash that the caller's taxonomy knows as part of a name.
    """
    return any(p.search(answer) for p in (_OR, _LISTED, _SLASH, _COMMA))
