"""The taxonomy as a whole: facts in, and for a class and a prediction their relation out."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import polars as pl

from speciarl.errors import TaxonomyError
from speciarl.files import content_hash
from speciarl.taxonomy.derived_forms import derived_forms
from speciarl.taxonomy.facts import BUILT_IN, ClassEntry, Facts, facts_file, load_facts
from speciarl.taxonomy.forms import key, tokens
from speciarl.taxonomy.lexicon import Lexicon, lexicons
from speciarl.taxonomy.match import entities, match
from speciarl.taxonomy.nodes import COMMON, Node, build, genera
from speciarl.taxonomy.parse import parse
from speciarl.taxonomy.table import relation_table
from speciarl.taxonomy.tree import Description, Entity, Relation, Tree, describe, grow

_PARSED = 200_000  # predictions, and classes, whose reading is kept


class Taxonomy:
    """Facts about the classes of some datasets, and the relations that follow from them.

    Whoever asks about a class without an entry gets a TaxonomyError. A class is of the dataset
    that is given, or else of every one that has a class of that name. What relations take beyond
    the facts is made at the first question: a run that finds all verdicts stored has none.

    Args:
        files: the common facts and one per dataset; `Taxonomy.load` reads them.
    """

    def __init__(self, files: Sequence[Facts]) -> None:
        self._files = tuple(files)
        self._common = next(f for f in files if f.dataset == COMMON)
        self._nodes = build(files, self._common.words)
        self._classes = {
            (n.dataset, self._key(n.name)): n.node_id for n in self._nodes if n.kind == "class"
        }
        self._node_ids = lru_cache(_PARSED)(self._find_classes)
        self._parse = lru_cache(_PARSED)(
            lambda dataset, prediction: parse(prediction, self._lexicons[dataset])
        )

    @cached_property
    def _tree(self) -> Tree:
        return grow(self._nodes)

    @cached_property
    def _derived(self) -> dict[int, tuple[str, ...]]:
        return derived_forms(self._nodes, _known_genera(self._files), self._common.words)

    @cached_property
    def _lexicons(self) -> dict[str, Lexicon]:
        return lexicons(self._files, self._nodes, self._derived, self._common.words)

    @classmethod
    def load(
        cls, folder: Path, datasets: Sequence[str], files: Mapping[str, Path] | None = None
    ) -> "Taxonomy":
        """The common facts and those of each dataset, from `folder` or else built in.

        Args:
            files: where a dataset's facts lie, for those that are in neither.
        """
        paths = {name: facts_file(name, folder) for name in (COMMON, *datasets)}
        paths.update(files or {})
        return cls([load_facts(path, name) for name, path in paths.items()])

    def with_plain(self, dataset: str, class_names: Iterable[str]) -> "Taxonomy":
        """The same taxonomy and a dataset of which only the class names are known.

        Raises:
            TaxonomyError: two of the names are read as one.
        """
        class_names = list(class_names)
        alike: dict[str, str] = {}
        for name in class_names:
            other = alike.setdefault(self._key(name), name)
            if other != name:
                raise TaxonomyError(
                    f"{dataset}: the classes {other!r} and {name!r} are one and the same as "
                    f"predictions: rename one, or describe both in {dataset}.yaml"
                )
        plain = Facts(dataset=dataset, classes={name: ClassEntry() for name in class_names})
        return Taxonomy([*self._files, plain])

    @classmethod
    def of_classes(cls, folder: Path, classes: Mapping[str, Sequence[str]]) -> "Taxonomy":
        """Facts about some classes (dataset to class names); of a dataset that nobody has described
        only the names are known.

        Raises:
            TaxonomyError: a file lacks one of the classes.
        """
        described = [name for name in classes if facts_file(name, folder).is_file()]
        taxonomy = cls.load(folder, described)
        for name, class_names in classes.items():
            if name not in described:
                taxonomy = taxonomy.with_plain(name, class_names)
            taxonomy.require(name, class_names)
        return taxonomy

    @classmethod
    def load_all(cls, folder: Path = BUILT_IN) -> "Taxonomy":
        """Facts of every dataset that has a file in the folder, or is built in."""
        names = {path.stem for place in (folder, BUILT_IN) for path in place.glob("*.yaml")}
        return cls.load(folder, sorted(names - {COMMON}))

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets described, in the order in which they were loaded."""
        return tuple(facts.dataset for facts in self._files if facts.dataset != COMMON)

    @property
    def classes(self) -> dict[str, list[str]]:
        """The classes described, by dataset."""
        found: dict[str, list[str]] = {name: [] for name in self.datasets}
        for node_id in self._classes.values():
            found[self._nodes[node_id].dataset].append(self._nodes[node_id].name)
        return found

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that a verdict depends on: the facts, and the code of this folder
        by which predictions are read and judged."""
        code = sorted(Path(__file__).parent.glob("*.py"))
        return content_hash(code, *(facts.model_dump(mode="json") for facts in self._files))

    def require(self, dataset: str, class_names: Iterable[str]) -> None:
        """Raise a TaxonomyError that names the first class without an entry."""
        for name in class_names:
            if (dataset, self._key(name)) not in self._classes:
                raise self._missing(name, dataset)

    def relation(self, class_name: str, prediction: str, dataset: str | None = None) -> Relation:
        """How the prediction relates to the class; its verdict is None where the facts do not say.

        Of several datasets the one in whose terms the prediction is best is taken.
        """
        node_ids = self._node_ids(class_name, dataset)
        relations = (self._relation(node_id, prediction) for node_id in node_ids)
        return max(relations, key=lambda r: r.step)

    def entities(
        self, class_name: str, prediction: str, dataset: str | None = None
    ) -> tuple[Entity, ...]:
        """What a prediction names, in the terms of the dataset where it is best."""
        node_ids = self._node_ids(class_name, dataset)
        best = max(node_ids, key=lambda number: self._relation(number, prediction).step)
        parsed = self._parse(self._nodes[best].dataset, prediction)
        return tuple(entities(best, parsed, self._tree))

    def mentions(self, class_name: str, text: str) -> bool:
        """Whether a text names, anywhere, something of a dataset that has the class."""
        return any(lexicon.mentions(text) for lexicon in self._lexicons_of(class_name))

    def one_entity(self, class_name: str, texts: Iterable[str]) -> bool:
        """Whether the texts are names of one thing in a dataset that has the class."""
        texts = list(texts)
        return any(lexicon.one_entity(texts) for lexicon in self._lexicons_of(class_name))

    def lineage(self, prediction: str) -> dict[str, int]:
        """What a prediction names and all that this is a kind of: by name, how many are above it.

        Of every dataset in which each word of the first name is known; empty where none is.
        """
        found: dict[str, int] = {}
        for dataset in self.datasets:
            named = [c.segmentation for c in self._parse(dataset, prediction).claims]
            lead = next((one for one in named if one.clean), None)
            for node_id in lead.names[0].node_ids if lead else ():
                above = self._tree.ancestors[node_id]
                found |= {self._nodes[n].name: len(self._tree.ancestors[n]) for n in above}
        return found

    def describe(self, class_name: str, dataset: str | None = None) -> tuple[Description, ...]:
        """What the facts say of a class, once for each dataset that has it."""
        return tuple(describe(n, self._tree) for n in self._node_ids(class_name, dataset))

    def terms(self, dataset: str) -> tuple[str, ...]:
        """The surface forms known for a dataset, common ones included, sorted."""
        nodes = (n for n in self._nodes if n.dataset in (dataset, COMMON))
        return tuple(sorted({form for n in nodes for form in self._forms(n)}))

    def table(self, classes: Mapping[str, Sequence[str]]) -> pl.DataFrame:
        """What is true of every class of `classes` (dataset to class names), and what of no class.

        Returns:
            dataset, class_name, term, verdict, path: sorted, as `relation_table` has them;
            `every_pair` spells out all classes against all terms.
        """
        node_ids: dict[int, str] = {}
        forms: list[tuple[str, str, int]] = []
        for dataset, names in classes.items():
            self.require(dataset, names)
            node_ids |= {self._classes[dataset, self._key(name)]: name for name in names}
            lexicon = self._lexicons[dataset]
            for form in self.terms(dataset):
                parts = tokens(form, self._common.words)
                forms += [(dataset, form, node_id) for node_id in lexicon.own(parts)]
        return relation_table(self._tree, node_ids, forms)

    def _forms(self, node: Node) -> tuple[str, ...]:
        return (*node.forms, *self._derived.get(node.node_id, ()))

    def _key(self, text: str) -> str:
        return key(tokens(text, self._common.words))

    def _find_classes(self, class_name: str, dataset: str | None) -> list[int]:
        names = self.datasets if dataset is None else (dataset,)
        wanted = self._key(class_name)
        node_ids = [self._classes[n, wanted] for n in names if (n, wanted) in self._classes]
        if not node_ids:
            raise self._missing(class_name, dataset)
        return node_ids

    def _lexicons_of(self, class_name: str) -> Iterable[Lexicon]:
        wanted = self._key(class_name)
        return (lexicon for n, lexicon in self._lexicons.items() if (n, wanted) in self._classes)

    def _relation(self, node_id: int, prediction: str) -> Relation:
        dataset = self._nodes[node_id].dataset
        parsed = self._parse(dataset, prediction)
        return match(node_id, parsed, self._tree, self._lexicons[dataset].open_modifiers)

    def _missing(self, class_name: str, dataset: str | None) -> TaxonomyError:
        return TaxonomyError(
            f"class {class_name!r} of {dataset or ' or '.join(self.datasets)} has no taxonomy "
            f"entry; add it under `classes` of {dataset or 'DATASET'}.yaml"
        )


def _known_genera(files: Iterable[Facts]) -> frozenset[str]:
    entries = (e for f in files for section in (f.terms, f.classes) for e in section.values())
    return frozenset(genus for entry in entries for genus in genera(entry))
