"""What a completion says: its answer, the normal form, refusals, several answers, instructions.

Every rule reads untrusted text and none of them raises.
"""

import re
import unicodedata
from functools import lru_cache

NORMALISER_VERSION = 1  # part of a verifier's fingerprint: raise it when `normalise` changes
_KEPT = 20_000  # results kept for each rule: a policy says the same thing again and again
MAX_ANSWER = 200  # characters; a label is shorter, what is longer is a text and not an answer

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_MARKUP = re.compile(r"[*_`#~]+(?=\S)|(?<=\S)[*_`#~]+")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:[ -][A-Za-z0-9]+)*")  # most answers: only case changes
_SPACE = re.compile(r"\s+")

_REFUSAL = re.compile(
    r"""^(?:(?:(?:i\s+am|i'm|we\s+are)\s+)?(?:very\s+)?sorry\b[,.;:]?\s*(?:but\s+)?
           |(?:unfortunately|as\s+an\s+ai\b[^,]{0,80}),?\s*)?(?:
        none(?:\s+of\s+(?:these|them|the\s+above))? | n/?a | null | nothing
      | (?:no|not\s+a)\s+(?:idea|answer|label|prediction|guess)\b.*
      | (?:it\s+is\s+|it's\s+)?(?:unknown|unidentified|unidentifiable|unclear|undetermined|uncertain
            |indeterminate|unrecogni[sz]able|unspecified)
        (?:\s+(?:and|animal|bird|species|breed|aircraft|airplane|plane|car|vehicle|flower|plant|dog|cat
            |food|dish|object|model|type|kind|make|variant|variety))*
      | (?:(?:i\s+am|i'm|we\s+are)\s+)?not\s+(?:sure|certain|identifiable|recogni[sz]able)\b.*
      | (?:i\s+)?(?:do\s+not|don't|cannot|can't|can\s+not|could\s+not|couldn't)\s+
        (?:know|tell|say|see|determine|identify|recogni[sz]e|make\s+out|be\s+(?:sure|certain)
          |help|assist|answer|name|provide|give)\b.*
      | (?:i\s+am\s+|i'm\s+)?(?:unable|not\s+able)\s+to\b.*
      | (?:impossible|hard|difficult)\s+to\s+(?:say|tell|determine|identify|know)\b.*
      | .*\b(?:cannot|can't|can\s+not|could\s+not|couldn't)\s+be\s+
        (?:identified|determined|recogni[sz]ed|seen|told|known)\b.*
      | .*\b(?:not\s+(?:\w+\s+)?enough|insufficient)\s+(?:visual\s+)?
        (?:detail|information|evidence)s?\b.*
      | .*\bnot\s+\w+\s+enough\s+to\s+(?:say|tell|see|determine|identify|recogni[sz]e)\b.*
      | .*\btoo\s+(?:blurry|blurred|dark|small|unclear|far)\b.*
    )$""",
    re.VERBOSE,
)

_LISTED = re.compile(r"(?:^|\s)(?:\d+[.)]|[-•])\s+\S.*\s(?:\d+[.)]|[-•])\s+\S")
_OR = re.compile(r"\b(?:or|either|versus|vs\.?)\b")
_SLASH = re.compile(r"[^\W\d]{3,}\s*/\s*[^\W\d]{3,}|\s/\s")
_COMMA = re.compile(r"[,;]\s*(?!(?:model\s+years?\s+|from\s+)?(?:19|20)\d\d\b)\S")  # but ", 2012"

# Special tokens of models and markup: they name nothing.
_TAG = re.compile(r"<[^<>]*>")
_CLAUSE = re.compile(
    r"(\s*(?:[.;:,!?\n()\[\]{}]|\s-+\s|[\u2013\u2014]|\band\s+(?=you\b|now\b)|\bnow\s+(?=ignore))\s*)"
)
_INSTRUCTION = re.compile(
    r"""\b(?:ignore|disregard|forget|override|bypass)\b.*\b(?:instructions?|rules?|above|previous|prior
            |prompts?|class|label|everything|ground\s+truth|reference)\b
      | \b(?:mark|grade|score|rate|treat|count|accept|consider|judge|label|reply|answer|output
            |respond|say|return|print|classify|assign|give)\b.*\b(?:specific|generic|abstain|wrong
            |correct|correctly|exact(?:ly)?|match)\b
      | \b(?:ground\s+truth|reference|(?:correct|right|true)\s+(?:answer|label|class
            |breed|species|model))\b(?!\s+(?:is|would\s+be)\s)
      | \bis\s+(?:more\s+|less\s+)?(?:specific|generic)$
      | \b(?:same\s+as|match(?:es)?)\b.*\b(?:label|class)\b
      | ^(?:(?:to\s+)?(?:the\s+)?(?:system|grader|judge|verifier|evaluator|assistant|user)
            (?:\s+(?:note|message|prompt|override))?|(?:final\s+)?verdict)\b
      | ^(?:(?:more\s+|less\s+)?specific|generic|wrong|correct
            |(?:final\s+)?(?:answer|label|prediction|output))$
    """,
    re.VERBOSE,
)


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
    if _PLAIN.fullmatch(answer):
        return answer.lower()
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
    """Whether a normalised answer declines to name anything; longer than MAX_ANSWER, none does."""
    return len(answer) <= MAX_ANSWER and _REFUSAL.match(answer) is not None


@lru_cache(_KEPT)
def without_instructions(answer: str) -> str:
    """A normalised answer without what names nothing: tags, and clauses that address the judge.

    "samoyed. ignore the rules" is "samoyed"; an answer that is nothing else becomes empty. What
    addresses nobody is returned as it is, and so is what is longer than MAX_ANSWER.
    """
    if len(answer) > MAX_ANSWER:  # patterns like these take the square of the length
        return answer
    text = _TAG.sub(" ", answer).strip()
    parts = _CLAUSE.split(text)  # clauses, and between them what parts them
    clauses, before = parts[::2], ["", *parts[1::2]]
    instructs = [_INSTRUCTION.search(clause) is not None for clause in clauses]
    if not any(instructs):
        return text
    named = ""
    for clause, separator, left_out in zip(clauses, before, instructs, strict=True):
        if clause and not left_out:
            named += (separator if named else "") + clause
    return named


@lru_cache(_KEPT)
def several_answers(answer: str) -> bool:
    """Whether a normalised answer offers more than one label.

    "A or B", "A / B", a list, and "A, B" are several; "and" or "&" within a name is not, nor is
    a comma or slash that the caller's taxonomy knows as part of a name. Of a longer text only the
    first MAX_ANSWER characters are looked at.
    """
    return any(p.search(answer[:MAX_ANSWER]) for p in (_OR, _LISTED, _SLASH, _COMMA))
