"""The schema of the YAML facts, and every contradiction that is refused, with its message."""

from pathlib import Path

import pytest

from speciarl.errors import TaxonomyError
from speciarl.taxonomy import Taxonomy
from speciarl.taxonomy.facts import load_facts

COMMON = """
dataset: common
terms:
  animal: {}
  bird: {far: [animal]}
"""


def load(folder: Path, text: str, dataset: str = "birds") -> Taxonomy:
    (folder / "common.yaml").write_text(COMMON)
    (folder / f"{dataset}.yaml").write_text(text)
    return Taxonomy.load(folder, [dataset])


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(TaxonomyError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert "birds" in message
    return message


def test_every_scalar_is_the_text_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "dataset: x\nwords: {cuts: [on, 240, 1e3]}\nclasses:\n  240: {year: 1993}\n"
    )
    facts = load_facts(tmp_path / "x.yaml", "x")
    assert facts.words.cuts == ("on", "240", "1e3")
    assert facts.classes["240"].year == 1993


def test_one_name_may_stand_for_a_list(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("dataset: x\nclasses: {Gull: {latin: Larus, near: a}}\n")
    entry = load_facts(tmp_path / "x.yaml", "x").classes["Gull"]
    assert (entry.latin, entry.near) == (("Larus",), ("a",))


def test_an_empty_entry_is_allowed(tmp_path: Path) -> None:
    taxonomy = load(tmp_path, "dataset: birds\nclasses:\n  Ovenbird:\n")
    assert taxonomy.relation("Ovenbird", "ovenbirds").matched == "Ovenbird"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text(COMMON)
    with pytest.raises(TaxonomyError, match=r"no taxonomy for birds.*birds\.yaml"):
        Taxonomy.load(tmp_path, ["birds"])


def test_a_file_of_another_dataset_is_refused(tmp_path: Path) -> None:
    assert "describes 'fish', expected 'birds'" in refusal(tmp_path, "dataset: fish\n")


def test_broken_yaml_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "not valid YAML" in refusal(tmp_path, "dataset: [birds\nclasses: {")
    assert "expected a mapping" in refusal(tmp_path, "- a\n- b\n")


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    text = "dataset: birds\nclasses:\n  Gull: {nears: [bird]}\n"
    assert "classes.Gull.nears" in refusal(tmp_path, text)


def test_an_entry_described_twice_is_refused(tmp_path: Path) -> None:
    text = "dataset: birds\nclasses:\n  Gull: {}\n  Gull: {near: [bird]}\n"
    assert "'Gull' is described twice (line 4)" in refusal(tmp_path, text)
    text = "dataset: birds\nterms:\n  Gull: {}\nclasses:\n  Gull: {}\n"
    assert "'Gull' is described twice" in refusal(tmp_path, text)


def test_an_unknown_parent_is_named(tmp_path: Path) -> None:
    text = "dataset: birds\nclasses:\n  Gull: {near: [seabird]}\n"
    message = refusal(tmp_path, text)
    assert "'Gull' has the unknown parent 'seabird'" in message
    assert "birds.yaml" in message


def test_a_cycle_is_shown(tmp_path: Path) -> None:
    text = "dataset: birds\nterms:\n  a: {near: [b]}\n  b: {far: [a]}\n"
    message = refusal(tmp_path, text)
    assert "cycle of parents" in message
    assert "a -> b" in message or "b -> a" in message


def test_a_form_that_names_two_entries_is_refused_unless_listed(tmp_path: Path) -> None:
    text = "dataset: birds\nclasses:\n  Gull: {synonyms: [mew]}\n  Tern: {synonyms: [Mews]}\n"
    assert "'Mews' names 'Gull' and 'Tern'" in refusal(tmp_path, text)
    taxonomy = load(tmp_path, text.replace("classes", "ambiguous: [mew]\nclasses"))
    assert taxonomy.relation("Gull", "mew").verdict.value == "specific"
    assert taxonomy.relation("Tern", "mew").verdict.value == "specific"


def test_a_subtype_with_its_own_entry_is_refused(tmp_path: Path) -> None:
    text = "dataset: birds\nclasses:\n  Gull: {narrower: [Tern]}\n  Tern: {}\n"
    assert "'Tern', narrower than 'Gull', has an entry of its own" in refusal(tmp_path, text)


def test_the_genus_of_a_scientific_name_is_a_near_parent(tmp_path: Path) -> None:
    text = (
        "dataset: birds\nroot: [bird]\nterms:\n  vireo: {synonyms: [Vireonidae]}\n"
        "classes:\n  Western Gull: {latin: Larus occidentalis}\n"
        "  White eyed Vireo: {latin: Vireo griseus}\n"
    )
    taxonomy = load(tmp_path, text)
    assert taxonomy.relation("Western Gull", "Larus").verdict.value == "less specific"
    assert taxonomy.relation("Western Gull", "L. occidentalis").verdict.value == "specific"
    # the genus is described already, under its common name
    assert taxonomy.relation("White eyed Vireo", "Vireo").path == ("White eyed Vireo", "vireo")


def test_require_names_the_class_and_the_file(tmp_path: Path) -> None:
    taxonomy = load(tmp_path, "dataset: birds\nclasses:\n  Gull: {}\n")
    taxonomy.require("birds", ["Gull", "gull"])
    with pytest.raises(TaxonomyError, match=r"'Tern' of birds has no taxonomy entry.*birds\.yaml"):
        taxonomy.require("birds", ["Gull", "Tern"])
    with pytest.raises(TaxonomyError, match="'Tern'"):
        taxonomy.relation("Tern", "gull")


def test_files_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text(COMMON)
    (tmp_path / "mine.yml").write_text("dataset: mine\nroot: [bird]\nclasses: {Rex: {}}\n")
    taxonomy = Taxonomy.load(tmp_path, [], files={"mine": tmp_path / "mine.yml"})
    assert taxonomy.relation("Rex", "a bird").verdict.value == "generic"


def test_a_dataset_without_facts_knows_only_its_names(tmp_path: Path) -> None:
    text = "dataset: birds\nterms: {gull: {}}\nclasses: {Western Gull: {near: [gull]}}\n"
    taxonomy = load(tmp_path, text).with_plain("mine", ["My Gull", "My Dog"])
    assert taxonomy.relation("My Gull", "a my gull").verdict.value == "specific"
    assert taxonomy.relation("My Gull", "My Dog").verdict.value == "wrong"
    assert taxonomy.relation("My Gull", "gull").verdict is None


def test_the_fingerprint_covers_the_facts(tmp_path: Path) -> None:
    text = "dataset: birds\nclasses:\n  Gull: {}\n"
    first, again = load(tmp_path, text), load(tmp_path, text + "# a comment\n")
    changed = load(tmp_path, text.replace("{}", "{synonyms: [mew]}"))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != changed.fingerprint


CHAIN = "".join(f"  t{n}: {{near: t{n + 1}}}\n" for n in range(3000))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("classes: {A: {patterns: ['([']}}", r"classes.A.patterns.0: .*regular expression"),
        ("classes: [A]", "classes: .*dictionary"),
        ("classes: A", "classes: .*dictionary"),
        ("classes: {A: [b]}", "classes.A: .*dictionary"),
        ("classes:\n  ? [a, b]\n  : {}", r"name as key.*line 3"),
        ("classes: {Caf\xe9: {}}", r"x.yaml:2: expected UTF-8"),
        ("classes: " + "[" * 3000 + "]" * 3000, "too deep"),
        ("classes: {A: {latin: '  '}}", "classes.A.latin.0: .*expected a name"),
        ('classes: {"A\\e[31m": {}}', "expected a name, without control"),
        (
            f"terms:\n{CHAIN}  t3000: {{}}\nclasses: {{A: {{near: t0}}}}",
            "x: 't2899' has 101 parents",
        ),
    ],
)
def test_what_no_taxonomy_can_be_is_refused_in_one_line(
    content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_bytes(f"dataset: x\n{content}\n".encode("latin-1"))
    with pytest.raises(TaxonomyError, match=message) as refused:
        Taxonomy.load(tmp_path, ["x"])
    assert str(refused.value).isprintable() and len(str(refused.value)) < 500
