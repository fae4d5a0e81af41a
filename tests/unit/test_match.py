"""Verdicts on claims made by hand: each rule of matching alone, on a small tree.

    entity > animal > bird > gull (birds) > western, herring (classes); western > wyman's,
    yellow-legged, Larus occidentalis; bird > seabird > gull; animal > pug (class); entity > nose.
Edges to the gull and below it are near, the others far. The skimmer is disputed of the western one.
"""

from pathlib import Path

import pytest

from speciarl.taxonomy import Taxonomy
from speciarl.taxonomy.facts import ClassEntry, Entry
from speciarl.taxonomy.lexicon import Name, Role
from speciarl.taxonomy.match import entities, match
from speciarl.taxonomy.nodes import COMMON, Node
from speciarl.taxonomy.parse import Claim, ParsedAnswer, Segmentation
from speciarl.taxonomy.tree import UNDECIDED, grow

# name, dataset, near, far
ROWS = (
    ("entity", COMMON, (), ()),
    ("animal", COMMON, (), ("entity",)),
    ("bird", COMMON, (), ("animal",)),
    ("seabird", COMMON, (), ("bird",)),
    ("nose", COMMON, (), ("entity",)),
    ("tern", COMMON, (), ("seabird",)),
    ("gull", "birds", (), ("seabird",)),
    ("western", "birds", ("gull",), ()),
    ("herring", "birds", ("gull",), ()),
    ("pug", "birds", (), ("animal",)),
    ("skimmer", "birds", (), ("seabird",)),
    ("wymans", "birds", ("western",), ()),
    ("legged", "birds", ("western",), ()),
    ("male", "birds", ("legged",), ()),
    ("Larus occidentalis", "birds", ("western",), ()),
)
IDS = {row[0]: i for i, row in enumerate(ROWS)}


def node(name, dataset, near, far):
    is_class = name in ("western", "herring", "pug")
    return Node(
        IDS[name], dataset, name, "class" if is_class else "term",
        tuple(IDS[n] for n in near), tuple(IDS[n] for n in far), (name,),
        ClassEntry() if is_class else Entry(),
        frozenset([IDS["skimmer"]] if name == "western" else []),
    )  # fmt: skip


TREE = grow([node(*row) for row in ROWS])


def named(*names, subtype=False):
    return Name(tuple(IDS[n] for n in names), subtype)


def claim(*names, roles=(), unknown=(), headless=False, bounded=False, **how):
    """The first name is the head; a tuple of names is one name with several senses."""
    found = [n if isinstance(n, Name) else named(n) for n in names]
    segmentation = Segmentation(found, set(roles), list(unknown), headless, [], bounded)
    return Claim(segmentation, how.pop("parts", ("some", "words", "here")), **how)


def prediction(*claims, foreign=()):
    return ParsedAnswer(tuple(claims), (), foreign)


def verdict(*claims, of="western", open_modifiers=False):
    found = match(IDS[of], prediction(*claims), TREE, open_modifiers)
    return found.verdict and found.verdict.value


ONE_CLAIM = {
    "the class": ("specific", ["western"], {}),
    "a near ancestor": ("less specific", ["gull"], {}),
    "a far ancestor": ("generic", ["bird"], {}),
    "a kind": ("more specific", ["wymans"], {}),
    "a sibling": ("wrong", ["herring"], {}),
    "disputed": (None, ["skimmer"], {}),
    "nothing": (None, [], {}),
    "nothing but an unknown word": (None, [], {"unknown": ["quux"]}),
    "an unknown word beside a name": (None, ["western"], {"unknown": ["quux"]}),
    "an unknown word beside a wrong head": ("wrong", ["herring"], {"unknown": ["quux"]}),
    "an unknown head": (None, ["western"], {"headless": True}),
    "an unknown head of a sibling": (None, ["herring"], {"headless": True}),
    "a broad head sharpened": ("specific", ["bird", "western"], {}),
    "a head and a broader name": ("specific", ["western", "bird"], {}),
    "contradicted by a name of the dataset": ("wrong", ["western", "herring"], {}),
    "beside a common thing": (None, ["western", "nose"], {}),
    "beside a common thing and a sibling": ("wrong", ["western", "nose", "herring"], {}),
    "beside what is disputed": (None, ["western", "skimmer"], {}),
    "a mark beside a broad name": ("generic", ["bird"], {"roles": [Role.MARK]}),
    "a mark beside a near name": (None, ["gull"], {"roles": [Role.MARK]}),
    "a mark beside the class": (None, ["western"], {"roles": [Role.MARK]}),
    "narrowed": ("more specific", ["western"], {"roles": [Role.NARROWING]}),
    "a cultivar": ("more specific", ["western"], {"roles": [Role.CULTIVAR]}),
    "a cultivar of a broad name": (None, ["gull"], {"roles": [Role.CULTIVAR]}),
    "a cultivar of a kind": ("more specific", ["wymans"], {"roles": [Role.CULTIVAR]}),
    "the group of it": ("less specific", ["western"], {"roles": [Role.GROUP]}),
    "the group, narrowed": ("less specific", ["western"], {"roles": [Role.GROUP, Role.NARROWING]}),
    "the group of a broad name": ("less specific", ["gull"], {"roles": [Role.GROUP]}),
    "narrowed broad name": ("generic", ["bird"], {"roles": [Role.NARROWING]}),
    "likened to the class": ("generic", ["western"], {"roles": [Role.LIKENESS]}),
    "likened to a broad name": ("generic", ["bird"], {"roles": [Role.LIKENESS]}),
    "likened to a sibling": (None, ["herring"], {"roles": [Role.LIKENESS]}),
    "likened to both": (None, ["western", "herring"], {"roles": [Role.LIKENESS]}),
    "likened to what is disputed": (None, ["skimmer"], {"roles": [Role.LIKENESS]}),
    "a broad name apart from unknown words": (None, ["bird"], {"bounded": True}),
    "the class apart from unknown words": ("specific", ["western"], {"bounded": True}),
    "a near name apart from them": ("less specific", ["gull"], {"bounded": True}),
    # colors may make another name of a near one
    "a color as in a name": (None, ["gull"], {"roles": [Role.COLOR], "plain": True}),
    "a color in two words": (None, ["gull"], {"roles": [Role.COLOR], "parts": ("red", "gull")}),
    "a color in a description": ("less specific", ["gull"], {"roles": [Role.COLOR]}),
    "a color and a size": (
        "less specific", ["gull"], {"roles": [Role.COLOR, Role.SIZE], "plain": True},
    ),
    "a color with a describing end": (
        "less specific", ["gull"], {"roles": [Role.COLOR], "plain": True, "cut": ("on",)},
    ),
    "no color": ("less specific", ["gull"], {"plain": True}),
    "a color beside the class": ("specific", ["western"], {"roles": [Role.COLOR], "plain": True}),
    "a color beside a broad name": ("generic", ["bird"], {"roles": [Role.COLOR], "plain": True}),
    # several senses of one name, kinds of what is named
    "the best of two senses": ("specific", [named("herring", "western")], {}),
    "undecided and wrong senses": (None, [named("herring", "skimmer")], {}),
    "undecided and right senses": ("less specific", [named("skimmer", "gull")], {}),
    "a subtype of the class": ("more specific", [named("western", subtype=True)], {}),
    "a subtype of what is broader": ("wrong", [named("gull", subtype=True)], {}),
    "a subtype of the broad": ("wrong", [named("bird", subtype=True)], {}),
    "a subtype of a kind": ("more specific", [named("wymans", subtype=True)], {}),
    "a subtype of a sibling": ("wrong", [named("herring", subtype=True)], {}),
    "a subtype of the disputed": (None, [named("skimmer", subtype=True)], {}),
    "a kind with an ingredient": ("more specific", ["western"], {"kinds": (named("wymans"),)}),
    "another's kind": ("specific", ["western"], {"kinds": (named("herring"),)}),
    "a broader kind": ("specific", ["western"], {"kinds": (named("gull"),)}),
    "one of two kinds": (
        "more specific", ["western"], {"kinds": (named("gull"), named("wymans"))},
    ),
    "a kind of a broad name": ("less specific", ["gull"], {"kinds": (named("wymans"),)}),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_CLAIM)
def test_one_claim(name):
    expected, names, how = ONE_CLAIM[name]
    assert verdict(claim(*names, **how)) == expected


OPEN = {
    "unknown words make it narrower": ("more specific", ["western"], {"unknown": ["spicy"]}),
    "but not what is cut": (None, ["western"], {"unknown": ["spicy"], "cut": ("with",)}),
    "a kind stays one": ("more specific", ["wymans"], {"unknown": ["spicy"]}),
    "nor what is broader": (None, ["gull"], {"unknown": ["spicy"]}),
    "a second name is an ingredient": ("more specific", ["western", "herring"], {}),
    "a wrong head is wrong": ("wrong", ["herring"], {}),
    "unless it may go on": (None, ["herring"], {"cut": ("with",)}),
    "a disputed one too": ("more specific", ["western", "skimmer"], {}),
}


@pytest.mark.parametrize("name", OPEN)
def test_one_claim_where_unknown_words_only_modify(name):
    expected, names, how = OPEN[name]
    assert verdict(claim(*names, **how), open_modifiers=True) == expected


@pytest.mark.parametrize("how", [{}, {"cut": ("with",)}])
def test_a_wrong_head_is_wrong_where_they_do_not(how):
    assert verdict(claim("herring", **how)) == "wrong"


SEVERAL = {
    "the better one counts": ("specific", [claim("western"), claim("bird")]),
    "in either order": ("specific", [claim("bird"), claim("western")]),
    "two that are right": ("less specific", [claim("gull"), claim("bird")]),
    "a second prediction": ("wrong", [claim("western"), claim("herring")]),
    "a second prediction before": ("wrong", [claim("herring"), claim("western")]),
    "a second prediction among words": (
        "wrong", [claim("western"), claim("herring", unknown=["quux"], plain=True)],
    ),
    "only told of, with unknown words": (
        "specific", [claim("western"), claim("herring", unknown=["quux"])],
    ),
    "a part of the scene": ("specific", [claim("western"), claim("nose")]),
    "of the scene, before": ("wrong", [claim("nose"), claim("western")]),
    "a common thing of its own sort": ("wrong", [claim("western"), claim("tern")]),
    "a class of quite another sort": ("wrong", [claim("western"), claim("pug")]),
    "wrong but set apart": ("specific", [claim("western"), claim("herring", bounded=True)]),
    "a list that goes on": ("specific", [claim("western"), claim("herring", continues=True)]),
    "a list that goes on, and a second prediction": (
        "wrong", [claim("western"), claim("herring", continues=True), claim("herring")],
    ),
    "narrowed by a clause, with words after it": (
        "more specific", [claim("western"), claim(roles=[Role.NARROWING]), claim()],
    ),
    "that is no list, but kin": (
        "more specific", [claim("western"), claim("wymans", continues=True)],
    ),
    "nor with unknown words": (
        "specific", [claim("western"), claim("wymans", unknown=["quux"], continues=True)],
    ),
    "an ancestor in a list": ("specific", [claim("western"), claim("gull", continues=True)]),
    "sharpened in a list": ("specific", [claim("gull"), claim("western", continues=True)]),
    "the first in a list": ("wrong", [claim("herring", continues=True), claim("western")]),
    "one kind and what it is of": ("more specific", [claim("legged"), claim("male")]),
    "two kinds": ("wrong", [claim("wymans"), claim("legged")]),
    "a kind and its Latin name": ("more specific", [claim("wymans"), claim("Larus occidentalis")]),
    "Latin first": ("more specific", [claim("Larus occidentalis"), claim("wymans")]),
    "three, of which two differ": ("wrong", [claim("legged"), claim("male"), claim("wymans")]),
    "narrowed by a clause": ("more specific", [claim("western"), claim(roles=[Role.NARROWING])]),
    "narrowed before": ("more specific", [claim(roles=[Role.NARROWING]), claim("western")]),
    "a narrowed broad name": ("less specific", [claim("gull"), claim(roles=[Role.NARROWING])]),
    "narrowed by unknown words": (
        "specific", [claim("western"), claim(roles=[Role.NARROWING], unknown=["quux"])],
    ),
    "not narrowed by a color": ("specific", [claim("western"), claim(roles=[Role.COLOR])]),
    "nothing beside the class": ("specific", [claim("western"), claim()]),
    "unknown beside the class": (
        "specific", [claim("western"), claim(unknown=["quux"], plain=True)],
    ),
    "a doubtful name beside it": (
        None, [claim("western"), claim("bird", unknown=["quux"], plain=True)],
    ),
    "not where it is a description": (
        "specific", [claim("western"), claim("bird", unknown=["quux"])],
    ),
    "nor a known one": ("specific", [claim("western"), claim("skimmer", plain=True)]),
    "the leading one may be doubtful": (
        "specific", [claim("bird", unknown=["quux"], plain=True), claim("western")],
    ),
    "unknown beside a broad name": (None, [claim("gull"), claim(unknown=["quux"], plain=True)]),
    "described beside it": ("less specific", [claim("gull"), claim(unknown=["quux"])]),
    "idle words beside it": ("less specific", [claim("gull"), claim(plain=True)]),
    "a doubtful name beside a broad one": (None, [claim("gull"), claim("bird", unknown=["quux"])]),
    "a disputed name beside a broad one": (None, [claim("gull"), claim("skimmer")]),
    "nothing at all": (None, []),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_several_claims(name):
    expected, claims = SEVERAL[name]
    assert verdict(*claims) == expected


def test_what_decides_is_named_with_its_path():
    def found(*claims, foreign=()):
        return match(IDS["western"], prediction(*claims, foreign=foreign), TREE, False)

    assert found(claim("gull")).path == ("western", "gull")
    two = found(claim("wymans"), claim("legged"))
    assert (two.matched, two.path) == ("legged", ("western", "legged"))
    assert found(claim("western", "herring")).matched == "herring"
    assert found(claim("western"), claim("herring")).matched == "herring"
    assert found(claim("western", "wymans")).matched == "wymans"
    assert found(claim("western", "skimmer")) == UNDECIDED
    subtype = found(claim(named("gull", subtype=True)))
    assert (subtype.matched, subtype.path) == ("gull", ("western", "gull"))
    assert found(claim("legged", "wymans")).matched == "legged"  # of equal ones the first
    kinds = [named("legged"), named("wymans")]
    assert found(claim("western", kinds=kinds)).matched == "legged"
    likened = found(claim("bird", "western", roles=[Role.LIKENESS]))
    assert likened.matched == "bird"
    assert found(claim("animal", "bird", roles=[Role.LIKENESS])).matched == "animal"  # the head
    foreign = found(claim("western"), foreign=(IDS["nose"], IDS["tern"]))
    assert (foreign.verdict.value, foreign.matched) == ("wrong", "nose")


def test_of_senses_alike_the_one_below_a_near_parent_is_meant():
    assert match(
        IDS["western"], prediction(claim(named("tern", "herring"))), TREE, False
    ).matched == ("herring")


def test_entities_are_all_names_in_the_order_they_are_said():
    said = prediction(
        claim("gull", "bird", parts=("bird", "gull")),
        claim(named("herring", "western"), parts=("herring",)),
        claim(parts=("quux",)),
    )
    found = entities(IDS["western"], said, TREE)
    assert [(e.text, e.name, e.relation.verdict.value) for e in found] == [
        ("bird gull", "bird", "generic"),
        ("bird gull", "gull", "less specific"),
        ("herring", "western", "specific"),
    ]
    (doubtful,) = entities(IDS["western"], prediction(claim(named("herring", "skimmer"))), TREE)
    assert (doubtful.name, doubtful.relation) == ("herring", UNDECIDED)
    (foreign,) = entities(IDS["western"], prediction(claim("gull"), foreign=(IDS["nose"],)), TREE)
    assert (foreign.text, foreign.name, foreign.relation.verdict.value) == ("", "nose", "wrong")
    assert foreign.relation.path == (
        "western",
        "gull",
        "seabird",
        "bird",
        "animal",
        "entity",
        "nose",
    )


@pytest.mark.parametrize(
    ("class_name", "prediction", "expected"),
    [
        ("bruschetta", "bruschetta with tomato", "specific"),  # another name of it
        ("dumplings", "dumplings with potato", "specific"),  # no kind of it that is known
        ("pizza", "pizza with pepperoni", "more specific"),
    ],
)
def test_an_ingredient_makes_a_kind_only_where_the_facts_name_one(class_name, prediction, expected):
    facts = Path(__file__).parents[2] / "data/taxonomies"
    relation = Taxonomy.load(facts, ["food101"]).relation(class_name, prediction)
    assert relation.verdict.value == expected


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ("2012 Honda Accord sedan", "specific"),
        ("Honda Accord", "less specific"),
        ("2010 Honda Accord sedan", "wrong"),
        ("2012 Honda Civic sedan", "wrong"),
        ("2012 Honda Accord EX-L sedan", "more specific"),
        ("car", "generic"),
    ],
)
def test_a_class_that_states_its_year_is_matched_by_it(prediction, expected):
    facts = Path(__file__).parents[2] / "data/taxonomies"
    cars = Taxonomy.load(facts, ["stanford_cars"])
    assert cars.relation("Honda Accord Sedan 2012", prediction).verdict.value == expected
