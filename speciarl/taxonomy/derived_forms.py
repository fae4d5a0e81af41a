"""Surface forms that follow by rule: with and without the maker's name, with the genus abbreviated.

They give way to the same form stated elsewhere in the file.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set

from speciarl.taxonomy.facts import Words
from speciarl.taxonomy.forms import stems, tokens
from speciarl.taxonomy.nodes import COMMON, Node

_NEEDS_MAKER = re.compile(r"\d{1,3}$|[A-Za-z]{1,2}$")  # names nothing alone (Audi 100, Ford GT)
_BINOMIAL = re.compile(r"([A-Z][a-z]+) ([a-z]{3,})$")


def derived_forms(
    nodes: Sequence[Node], known_genera: Set[str], words: Words
) -> dict[int, tuple[str, ...]]:
    """Node number to the forms that follow for it, where there are any."""
    idle = stems(words.groups, words) | stems(words.fillers, words)
    aliases = {
        n.node_id: sorted(n.forms, key=len, reverse=True) for n in nodes if n.kind == "maker"
    }
    found: dict[int, tuple[str, ...]] = {}
    for node in nodes:
        forms = [*_abbreviated(node.forms, known_genera)]
        if node.kind in ("term", "class", "narrower") and node.dataset != COMMON:
            for maker in _makers_above(node, nodes, aliases):
                forms += _of_maker(node, aliases[maker], nodes[maker].entry.prefixes)
            # of "ATR family" no name is left without the maker
            forms = [form for form in forms if not idle.issuperset(tokens(form, words))]
        if forms:
            found[node.node_id] = tuple(dict.fromkeys(f for f in forms if f not in node.forms))
    return found


def _abbreviated(forms: Iterable[str], known_genera: Set[str]) -> Iterable[str]:
    """L. occidentalis for Larus occidentalis."""
    for form in forms:
        match = _BINOMIAL.match(form)
        if match and match[1] in known_genera:
            yield f"{match[1][0]}. {match[2]}"


def _of_maker(node: Node, aliases: Sequence[str], prefixes: Sequence[str]) -> Iterable[str]:
    """Chevrolet Corvette: Chevy Corvette, Corvette. A class with its year is read by its parts."""
    dated = node.facts is not None and node.facts.year is not None
    for form in node.forms:
        bare = _without(form, aliases)
        if not bare:
            continue
        yield from (f"{alias} {bare}" for alias in aliases)
        yield from (f"{prefix}{bare}" for prefix in prefixes)
        if not (dated or _NEEDS_MAKER.match(bare)):
            yield bare


def _makers_above(node: Node, nodes: Sequence[Node], makers: Mapping[int, object]) -> list[int]:
    """The nearest makers on every way up from a node."""
    seen, queue = {node.node_id}, [node.node_id]
    found: list[int] = []
    while queue:
        current = nodes[queue.pop()]
        for parent in (*current.near, *current.far):
            if parent not in seen:
                seen.add(parent)
                (found if parent in makers else queue).append(parent)
    return sorted(found)


def _without(form: str, aliases: Sequence[str]) -> str:
    """The form without the maker's name before it."""
    for alias in aliases:
        if form.lower().startswith(alias.lower() + " "):
            return form[len(alias) + 1 :]
    return form
