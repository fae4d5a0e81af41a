"""The entries that a file of facts states or implies, before their parents are looked up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from speciarl.errors import TaxonomyError
from speciarl.taxonomy.facts import ClassEntry, Entry, Facts


@dataclass
class Draft:
    """An entry with its parents by name."""

    name: str
    kind: str
    """class, term, maker, body, or narrower (a subtype that only its parent states)"""
    near: list[str] = field(default_factory=list)
    far: list[str] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)
    entry: Entry | None = None
    """What the file states of it; None for what is only implied."""
    unsure: list[str] = field(default_factory=list)


def drafts(facts: Facts) -> dict[str, Draft]:
    """All entries of a file by name; a TaxonomyError names what is described twice."""
    found: dict[str, Draft] = {}
    for kind, name, entry in _stated(facts):
        if name in found:
            raise TaxonomyError(f"{facts.dataset}: {name!r} is described twice; keep one entry")
        implied = [entry.body, *entry.also] if isinstance(entry, ClassEntry) else []
        found[name] = Draft(
            name,
            kind,
            near=[*entry.near],
            far=[*entry.far, *filter(None, implied)],
            forms=[*entry.synonyms, *entry.latin],
            entry=entry,
        )
    stated = tuple(found.values())
    _add_genera(stated, found)
    for draft in stated:
        _add_members(draft, found, facts.dataset)
    _add_disputed(stated, found)
    return found


def genera(entry: Entry) -> list[str]:
    """The genera of an entry's scientific names."""
    return list(dict.fromkeys(latin.split()[0] for latin in entry.latin if " " in latin))


def _stated(facts: Facts) -> Iterable[tuple[str, str, Entry]]:
    sections: tuple[tuple[str, Mapping[str, Entry]], ...] = (
        ("maker", facts.makers),
        ("body", facts.bodies),
        ("term", facts.terms),
        ("class", facts.classes),
    )
    for kind, section in sections:
        for name, entry in section.items():
            yield kind, name, entry


def _spelled(found: Mapping[str, Draft]) -> dict[str, str]:
    """Lower-cased form to the name of the entry that has it."""
    forms = {form.lower(): d.name for d in found.values() for form in d.forms}
    return forms | {name.lower(): name for name in found}


def _add_genera(stated: Iterable[Draft], found: dict[str, Draft]) -> None:
    """Each genus is a near parent, unless it is described already (Vireo is the vireo)."""
    spelled = _spelled(found)
    for draft in stated:
        for genus in genera(draft.entry) if draft.entry else ():
            term = spelled.setdefault(genus.lower(), genus)
            found.setdefault(term, Draft(term, "term"))
            if term != draft.name and term not in draft.near:
                draft.near.append(term)


def _add_members(draft: Draft, found: dict[str, Draft], dataset: str) -> None:
    """Subtypes and known members, written as "name = other name = …"."""
    if draft.entry is None:
        return
    for kind, members in (("narrower", draft.entry.narrower), ("term", draft.entry.others)):
        for member in members:
            name, *forms = (part.strip() for part in member.split("="))
            if name not in found:
                found[name] = Draft(name, kind, near=[draft.name], forms=forms)
            elif kind == "term":
                found[name].near.append(draft.name)
            else:
                raise TaxonomyError(
                    f"{dataset}: {name!r}, narrower than {draft.name!r}, has an entry of its own; "
                    f"name {draft.name!r} as its parent there"
                )


def _add_disputed(stated: Iterable[Draft], found: dict[str, Draft]) -> None:
    spelled = _spelled(found)
    for draft in stated:
        for form in draft.entry.unsure if isinstance(draft.entry, ClassEntry) else ():
            name = spelled.setdefault(form.lower(), form)
            found.setdefault(name, Draft(name, "term"))
            draft.unsure.append(name)
