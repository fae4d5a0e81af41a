"""Facts about classes and terms: read from YAML files and checked one file at a time.

A file states terms and classes with their parents. A parent is `near` where it is a useful
closest parent (genus, family, breed group, make and model) and `far` where it is broader (order,
role, color, manufacturer). The fields below are the keys of the files.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, ClassVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from speciarl.errors import TaxonomyError, one_line

BUILT_IN = Path(__file__).with_name("data")
"""The facts that come with the package: data/taxonomies of the repository."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _name(value: str) -> str:
    if not value.strip() or re.search(r"[\x00-\x1f\x7f-\x9f]", value):
        raise ValueError("expected a name, without control characters")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"expected a regular expression ({one_line(error)})") from None
    return value


Name = Annotated[str, AfterValidator(_name)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_as_list)]
Patterns = Annotated[
    tuple[Annotated[str, AfterValidator(_pattern)], ...], BeforeValidator(_as_list)
]


class Entry(BaseModel):
    """One term: its parents and the other names it goes by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latin: Names = ()
    """Scientific names; each is a synonym, and its genus a near parent."""
    near: Names = ()
    far: Names = ()
    synonyms: Names = ()
    narrower: Names = ()
    """True subtypes: subspecies, sub-variants, trims, color varieties, kinds of a dish."""
    others: Names = ()
    """Further known members, of which nothing else need be said; they are near children."""
    open: bool = False
    """Whether it may be true also of what does not state it (appetizer, perennial): where it is
    no ancestor the prediction is not wrong but undecided."""
    patterns: Patterns = ()
    """Regular expressions over the joined, lower-cased form, each a narrower subtype."""
    prefixes: Names = ()
    """Of a maker: abbreviations that stand only before a designation (B for Boeing: B737)."""


class ClassEntry(Entry):
    """One class of a data set; year and bodies only where the data set tells them apart."""

    year: int | None = None
    body: str | None = None
    """The body word that the class name implies."""
    bodies: Names = ()
    """Every body that the model year was sold in; one that is left out is thereby known."""
    also: Names = ()
    """Other body words by which people rightly call this car."""
    unsure: Names = ()
    """Terms over whose truth sources differ; a prediction that names one is left undecided."""


class Words(BaseModel):
    """Words that carry, decorate or end a prediction without naming anything (common.yaml only)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spelling: dict[str, str] = Field(default_factory=dict)
    subjects: Names = ()
    verbs: Names = ()
    leads: Names = ()
    containers: Names = ()
    cuts: Names = ()
    fillers: Names = ()
    groups: Names = ()
    likenesses: Names = ()
    sizes: Names = ()
    colors: Names = ()
    sexes: Names = ()


class Facts(BaseModel):
    """One file of facts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    root: Names = ()
    """Far parents of every class, and of every term that has no other parent."""
    ambiguous: Names = ()
    """Forms that rightly name several entries; a prediction is then read in the best sense."""
    narrowing: Names = ()
    """Single words that make a class narrower when they stand beside it (male, tabby)."""
    fillers: Names = ()
    """Single words that add nothing beside a name in this data set."""
    marks: Names = ()
    """Single words that describe beside a broad term, but beside a near one make another name
    (a red-headed bird, but a red-headed woodpecker)."""
    trims: Names = ()
    """Trim levels that any model may carry."""
    suffixes: bool = False
    """Whether letters after a class's number make it a subtype (Il-76TD, 737-800BCF)."""
    cultivars: bool = False
    """Whether a quoted name after a class's name is a cultivar of it."""
    open_modifiers: bool = False
    """Whether any further word before a class name makes it a kind of it (foods)."""
    words: Words = Words()
    makers: dict[Name, Entry] = Field(default_factory=dict)
    bodies: dict[Name, Entry] = Field(default_factory=dict)
    terms: dict[Name, Entry] = Field(default_factory=dict)
    classes: dict[Name, ClassEntry] = Field(default_factory=dict)

    @property
    def names_only(self) -> bool:
        """Whether nothing is said of what the classes are, so that only their names decide."""
        parents = any(entry.near or entry.far or entry.latin for entry in self.classes.values())
        return not (self.root or self.terms or self.makers or self.bodies or parents)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, reading every scalar as the text it is (`on`, `240`, `1e3` are names), and
    refusing a key that occurs twice (YAML itself keeps the last)."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[object]]] = {}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, object]:
    found: dict[Hashable, object] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            where = key_node.start_mark.line + 1
            raise TaxonomyError(f"expected a name as key, found a list or mapping (line {where})")
        if key in found:
            raise TaxonomyError(f"{key!r} is described twice (line {key_node.start_mark.line + 1})")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def facts_file(dataset: str, folder: Path) -> Path:
    """Where a dataset's facts lie: in the folder, or else among those that are built in; a path in
    the folder where nobody has described it."""
    places = (place / f"{dataset}.yaml" for place in (folder, BUILT_IN))
    return next((path for path in places if path.is_file()), folder / f"{dataset}.yaml")


def load_facts(path: Path, dataset: str) -> Facts:
    """The facts of one file; a TaxonomyError names the file and what is wrong in it."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        if not isinstance(raw, dict):
            raise TaxonomyError("expected a mapping with `dataset`, `terms` and `classes`")
        for section in ("makers", "bodies", "terms", "classes"):
            if isinstance(entries := raw.get(section) or {}, dict):
                raw[section] = {name: entry or {} for name, entry in entries.items()}
        facts = Facts.model_validate(raw)
    except FileNotFoundError:
        raise TaxonomyError(
            f"no taxonomy for {dataset}: expected {path}, describe its classes there"
        ) from None
    except OSError as error:
        raise TaxonomyError(f"{path} cannot be read ({error.strerror}): restore it") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TaxonomyError(f"{path}:{line}: expected UTF-8 ({error.reason})") from None
    except yaml.YAMLError as error:
        raise TaxonomyError(f"{path} is not valid YAML: {one_line(error)}") from None
    except RecursionError:
        raise TaxonomyError(f"{path}: lists or mappings in one another: too deep") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = one_line(".".join(str(part) for part in first["loc"]))
        raise TaxonomyError(f"{path}: {where}: {one_line(first['msg'])}") from None
    except TaxonomyError as error:
        raise TaxonomyError(f"{path}: {error}") from None
    if facts.dataset != dataset:
        raise TaxonomyError(f"{path} describes {facts.dataset!r}, expected {dataset!r}")
    return facts
