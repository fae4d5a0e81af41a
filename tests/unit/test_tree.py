"""Relations on a small tree made by hand: near and far ways up, subtypes, disputed and open terms.

        entity
          | far
        bird ------------+
          | far          | far
        gull           songbird
   near /   | near  \\ far
western  herring   laughing      wymans is near below western
"""

import pytest

from speciarl.taxonomy.facts import Entry
from speciarl.taxonomy.nodes import Node
from speciarl.taxonomy.tree import (
    UNDECIDED,
    AncestorPath,
    Description,
    Relation,
    describe,
    grow,
    relate,
    wrong,
)
from speciarl.verdicts import Verdict

ENTITY, BIRD, GULL, SONGBIRD, WESTERN, HERRING, LAUGHING, WYMANS, ROCK = range(9)
NAMES = (
    "entity", "bird", "gull", "songbird", "Western Gull", "Herring Gull", "Laughing Gull",
    "Wyman's Gull", "rock",
)  # fmt: skip
CLASSES = (WESTERN, HERRING, LAUGHING)
NEAR = {WESTERN: (GULL,), HERRING: (GULL,), WYMANS: (WESTERN,)}
FAR = {BIRD: (ENTITY,), GULL: (BIRD,), SONGBIRD: (BIRD,), LAUGHING: (GULL,)}


def node(node_id, near=None, far=None, entry=None, disputed=()):
    name = NAMES[node_id] if node_id < len(NAMES) else f"node {node_id}"
    return Node(
        node_id,
        "birds",
        name,
        "class" if node_id in CLASSES else "term",
        NEAR.get(node_id, ()) if near is None else near,
        FAR.get(node_id, ()) if far is None else far,
        (name, f"Larus {node_id}"),
        entry or Entry(),
        frozenset(disputed),
    )


def nodes(**changed):
    return [changed.get(f"n{i}", node(i)) for i in range(len(NAMES))]


@pytest.fixture
def tree():
    return grow(nodes())


def related(one, other, tree):
    verdict, path, matched = relate(one, other, tree)
    return verdict and verdict.value, " > ".join(path), matched


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (WESTERN, WESTERN, ("specific", "Western Gull", "Western Gull")),
        (WESTERN, GULL, ("less specific", "Western Gull > gull", "gull")),
        (LAUGHING, GULL, ("generic", "Laughing Gull > gull", "gull")),
        (WESTERN, BIRD, ("generic", "Western Gull > gull > bird", "bird")),
        (WESTERN, ENTITY, ("generic", "Western Gull > gull > bird > entity", "entity")),
        (WESTERN, WYMANS, ("more specific", "Western Gull > Wyman's Gull", "Wyman's Gull")),
        (GULL, WYMANS, ("more specific", "gull > Western Gull > Wyman's Gull", "Wyman's Gull")),
        (WESTERN, HERRING, ("wrong", "Western Gull > gull > Herring Gull", "Herring Gull")),
        (
            WYMANS,
            SONGBIRD,
            ("wrong", "Wyman's Gull > Western Gull > gull > bird > songbird", "songbird"),
        ),
        (
            SONGBIRD,
            WYMANS,
            ("wrong", "songbird > bird > gull > Western Gull > Wyman's Gull", "Wyman's Gull"),
        ),
        (WESTERN, ROCK, ("wrong", "", "rock")),
    ],
)
def test_every_relation_with_its_path(one, other, expected, tree):
    assert related(one, other, tree) == expected


def test_ancestors_hold_themselves_the_way_and_whether_it_is_near(tree):
    assert tree.ancestors[WYMANS] == {
        WYMANS: AncestorPath(True, (WYMANS,)),
        WESTERN: AncestorPath(True, (WYMANS, WESTERN)),
        GULL: AncestorPath(True, (WYMANS, WESTERN, GULL)),
        BIRD: AncestorPath(False, (WYMANS, WESTERN, GULL, BIRD)),
        ENTITY: AncestorPath(False, (WYMANS, WESTERN, GULL, BIRD, ENTITY)),
    }


def test_classes_below_are_classes_alone(tree):
    assert tree.classes_below[GULL] == CLASSES == tree.classes_below[BIRD]
    assert tree.classes_below[WESTERN] == (WESTERN,)
    assert tree.classes_below[WYMANS] == tree.classes_below[ROCK] == ()


def test_of_two_ways_the_near_one_counts_however_long():
    """Far at once, or near over Wyman's and the Western Gull."""
    grown = grow([*nodes(), node(9, near=(WYMANS,), far=(GULL,))])
    assert grown.ancestors[9][GULL] == AncestorPath(True, (9, WYMANS, WESTERN, GULL))


@pytest.mark.parametrize("near", [(WESTERN, GULL), (GULL, WESTERN)])
def test_of_two_near_ways_the_shorter_counts(near):
    grown = grow([*nodes(), node(9, near=near, far=())])
    assert grown.ancestors[9][GULL].path == (9, GULL)
    far = grow([*nodes(), node(9, near=(), far=near)])
    assert far.ancestors[9][GULL] == AncestorPath(False, (9, GULL))


def test_of_two_ways_alike_the_first_counts():
    grown = grow([*nodes(), node(9, near=(WESTERN, HERRING), far=())])
    assert grown.ancestors[9][GULL].path == (9, WESTERN, GULL)


def test_a_far_edge_anywhere_makes_the_way_far():
    """Near over the Laughing Gull, which is far below the gull."""
    grown = grow([*nodes(), node(9, near=(LAUGHING,), far=())])
    assert grown.ancestors[9][GULL] == AncestorPath(False, (9, LAUGHING, GULL))


def test_what_is_disputed_or_open_is_undecided():
    broad = Entry(open=True)
    grown = grow(
        nodes(
            n4=node(WESTERN, disputed=(HERRING, GULL, WESTERN)),
            n3=node(SONGBIRD, entry=broad),
            n1=node(BIRD, entry=broad),
            n8=node(ROCK, entry=Entry()),
        )
    )
    assert relate(WESTERN, HERRING, grown) == UNDECIDED
    assert relate(WESTERN, GULL, grown) == UNDECIDED
    assert relate(LAUGHING, HERRING, grown).verdict is Verdict.WRONG  # of the western one alone
    assert relate(WESTERN, SONGBIRD, grown) == UNDECIDED  # open: may be one all the same
    assert relate(WESTERN, BIRD, grown).verdict is Verdict.GENERIC  # open, but stated of it
    assert relate(WESTERN, ROCK, grown).verdict is Verdict.WRONG


def test_wrong_leads_over_the_nearest_common_ancestor():
    """Of two at the same distance over the one with the lower number."""
    grown = grow([*nodes(), node(9, near=(GULL,), far=(BIRD,)), node(10, near=(GULL,), far=())])
    assert wrong(9, 10, grown) == Relation(Verdict.WRONG, ("node 9", "gull", "node 10"), "node 10")
    twins = [*nodes(), node(9, near=(GULL, SONGBIRD), far=()), node(10, near=(SONGBIRD, GULL))]
    assert wrong(9, 10, grow(twins)).path == ("node 9", "gull", "node 10")
    assert wrong(10, 9, grow(twins)).path == ("node 10", "gull", "node 9")


def test_a_step_is_that_of_the_verdict_and_below_all_without_one():
    assert UNDECIDED.step == -1 and Relation(None, (), None) == UNDECIDED
    assert Relation(Verdict.WRONG, (), None).step == 0
    assert Relation(Verdict.MORE_SPECIFIC, (), None).step == 5


def test_a_description_lists_what_is_above_below_and_disputed():
    grown = grow(nodes(n4=node(WESTERN, disputed=(ROCK, HERRING))))
    assert describe(WESTERN, grown) == Description(
        "birds",
        "Western Gull",
        synonyms=("Larus 4",),
        near=("gull",),
        far=("bird", "entity"),
        narrower=("Wyman's Gull",),
        disputed=("Herring Gull", "rock"),
    )
    assert describe(GULL, grown).narrower == (
        "Herring Gull",
        "Laughing Gull",
        "Western Gull",
        "Wyman's Gull",
    )
    assert describe(LAUGHING, grown).near == ()
    assert describe(LAUGHING, grown).far == ("gull", "bird", "entity")


def test_ancestors_as_far_off_are_described_in_the_order_of_the_facts():
    grown = grow([*nodes(), node(9, near=(WESTERN, 10), far=()), node(10, near=(BIRD,), far=())])
    assert describe(9, grown).near == ("Western Gull", "node 10", "bird", "gull")
