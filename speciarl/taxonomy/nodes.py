"""The taxonomy's nodes: the entries that files of facts state or imply, their parents looked up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from speciarl.errors import TaxonomyError
from speciarl.taxonomy.facts import ClassEntry, Entry, Facts, Words
from speciarl.taxonomy.forms import key, tokens

COMMON = "common"
MAX_DEPTH = 100  # parents above one another; the built-in facts have a tenth of it


@dataclass(frozen=True)
class Node:
    """One term or class; parents are node numbers, forms are surface forms as written."""

    node_id: int
    dataset: str
    name: str
    kind: str
    """class, term, maker, body, or narrower (a subtype that only its parent states)"""
    near: tuple[int, ...]
    far: tuple[int, ...]
    forms: tuple[str, ...]
    entry: Entry
    """What the file states of it; nothing where it is only implied."""
    disputed: frozenset[int]
    """Nodes of which it is disputed whether they name this class."""

    @property
    def facts(self) -> ClassEntry | None:
        """What a class states of itself (year, bodies)."""
        return self.entry if isinstance(self.entry, ClassEntry) else None

    @property
    def year(self) -> int | None:
        return self.facts.year if self.facts else None


@dataclass
class NamedEntry:
    """A node to be, with its parents by name."""

    name: str
    kind: str
    near: list[str] = field(default_factory=list)
    far: list[str] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)
    entry: Entry = field(default_factory=Entry)
    disputed: list[str] = field(default_factory=list)


def entries(facts: Facts) -> dict[str, NamedEntry]:
    """All entries of a file by name; a TaxonomyError names what is described twice."""
    found: dict[str, NamedEntry] = {}
    sections: tuple[tuple[str, Mapping[str, Entry]], ...] = (
        ("maker", facts.makers), ("body", facts.bodies), ("term", facts.terms),
        ("class", facts.classes),
    )  # fmt: skip
    for kind, name, entry in ((k, *item) for k, section in sections for item in section.items()):
        if name in found:
            raise TaxonomyError(f"{facts.dataset}: {name!r} is described twice; keep one entry")
        implied = [entry.body, *entry.also] if isinstance(entry, ClassEntry) else []
        far, forms = [*entry.far, *filter(None, implied)], [*entry.synonyms, *entry.latin]
        found[name] = NamedEntry(name, kind, [*entry.near], far, forms, entry)
    stated = tuple(found.values())
    _add_genera(stated, found)
    for named in stated:
        _add_members(named, found, facts.dataset)
    _add_disputed(stated, found)
    return found


def genera(entry: Entry) -> list[str]:
    """The genera of an entry's scientific names."""
    return list(dict.fromkeys(latin.split()[0] for latin in entry.latin if " " in latin))


def _spelled(found: Mapping[str, NamedEntry]) -> dict[str, str]:
    """Lower-cased form to the name of the entry that has it."""
    forms = {form.lower(): d.name for d in found.values() for form in d.forms}
    return forms | {name.lower(): name for name in found}


def _term(form: str, spelled: dict[str, str], found: dict[str, NamedEntry]) -> str:
    """The name of the entry that has a form; a term of its own where none has."""
    name = spelled.setdefault(form.lower(), form)
    found.setdefault(name, NamedEntry(name, "term"))
    return name


def _add_genera(stated: Iterable[NamedEntry], found: dict[str, NamedEntry]) -> None:
    """Each genus is a near parent, unless it is described already (Vireo is the vireo)."""
    spelled = _spelled(found)
    for named in stated:
        for genus in genera(named.entry):
            term = _term(genus, spelled, found)
            if term != named.name and term not in named.near:
                named.near.append(term)


def _add_members(named: NamedEntry, found: dict[str, NamedEntry], dataset: str) -> None:
    """Subtypes and known members, written as "name = other name = …"."""
    for kind, members in (("narrower", named.entry.narrower), ("term", named.entry.others)):
        for member in members:
            name, *forms = (part.strip() for part in member.split("="))
            if name not in found:
                found[name] = NamedEntry(name, kind, near=[named.name], forms=forms)
            elif kind == "term":
                found[name].near.append(named.name)
            else:
                raise TaxonomyError(
                    f"{dataset}: {name!r}, narrower than {named.name!r}, has an entry of its own; "
                    f"name {named.name!r} as its parent there"
                )


def _add_disputed(stated: Iterable[NamedEntry], found: dict[str, NamedEntry]) -> None:
    spelled = _spelled(found)
    for named in stated:
        if isinstance(named.entry, ClassEntry):
            named.disputed += [_term(form, spelled, found) for form in named.entry.unsure]


def build(files: Sequence[Facts], words: Words) -> tuple[Node, ...]:
    """All nodes of all files; a TaxonomyError names the entry at fault and its file."""
    all_entries = [(facts, named) for facts in files for named in entries(facts).values()]
    node_ids = {(facts.dataset, d.name): n for n, (facts, d) in enumerate(all_entries)}

    def resolve(facts: Facts, named: NamedEntry, names: Iterable[str]) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for name in names:
            node_id = node_ids.get((facts.dataset, name), node_ids.get((COMMON, name)))
            if node_id is None:
                raise TaxonomyError(
                    f"{facts.dataset}: {named.name!r} has the unknown parent {name!r}; "
                    f"describe it under `terms` of {facts.dataset}.yaml or common.yaml"
                )
            found[node_id] = None
        return tuple(found)

    def node(node_id: int, facts: Facts, named: NamedEntry) -> Node:
        orphan = not (named.near or named.far or named.name in facts.root)
        roots = facts.root if orphan or named.kind == "class" else ()
        return Node(
            node_id,
            facts.dataset,
            named.name,
            named.kind,
            near=resolve(facts, named, named.near),
            far=resolve(facts, named, [*named.far, *roots]),
            forms=tuple(dict.fromkeys([named.name, *named.forms])),
            entry=named.entry,
            disputed=frozenset(resolve(facts, named, named.disputed)),
        )

    nodes = tuple(node(n, facts, named) for n, (facts, named) in enumerate(all_entries))
    _refuse_ways_up(nodes)
    _refuse_shared_forms(nodes, files, words)
    return nodes


def _refuse_ways_up(nodes: Sequence[Node]) -> None:
    """No entry may be its own ancestor, or have more than MAX_DEPTH above one another."""
    depths: dict[int, int] = {}
    parents = {n.node_id: {*n.near, *n.far} for n in nodes}
    try:
        for node_id in TopologicalSorter(parents).static_order():
            depth = depths[node_id] = 1 + max((depths[up] for up in parents[node_id]), default=-1)
            if depth > MAX_DEPTH:
                node = nodes[node_id]
                raise TaxonomyError(
                    f"{node.dataset}: {node.name!r} has {depth} parents above one another, "
                    f"expected at most {MAX_DEPTH}: leave some out in {node.dataset}.yaml"
                )
    except CycleError as error:
        names = " -> ".join(nodes[node_id].name for node_id in error.args[1])
        where = nodes[error.args[1][0]].dataset
        raise TaxonomyError(
            f"{where}: cycle of parents {names}; remove one of them in {where}.yaml"
        ) from None


def _refuse_shared_forms(nodes: Sequence[Node], files: Sequence[Facts], words: Words) -> None:
    """No stated form may name two entries of a file, unless the file lists it as ambiguous."""
    allowed = {(f.dataset, key(tokens(a, words))) for f in files for a in f.ambiguous}
    owners: dict[tuple[str, str], Node] = {}
    for node in nodes:
        for form in node.forms:
            place = (node.dataset, key(tokens(form, words)))
            other = owners.setdefault(place, node)
            if other is not node and place not in allowed:
                raise TaxonomyError(
                    f"{node.dataset}: {form!r} names {other.name!r} and {node.name!r}; drop one, "
                    f"or list it under `ambiguous` in {node.dataset}.yaml"
                )
