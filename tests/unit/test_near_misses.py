"""One letter wrong is forgiven in names long enough that it makes no other name."""

import pytest

from speciarl.taxonomy.lexicon import NearMisses

NAMES = {
    "abyssini": (1,), "abyssinian": (2,), "samoyed": (3,), "cat": (4,), "tern": (5,),
    "mockingbird": (6,), "mockingbyrd": (7,), "boeing737800": (8,), "grosbeaks": (9, 10),
}  # fmt: skip


def find(key):
    return NearMisses(NAMES).find(key)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("abyssinan", (2,)),  # a letter missing
        ("abyssiniann", (2,)),  # one too many
        ("abyssiniun", (2,)),  # another one
        ("abysisnian", (2,)),  # two swapped
        ("bbyssinian", (2,)),  # the first
        ("abyssiniam", (2,)),  # the last
        ("abyssinina", (2,)),  # the last two swapped
        ("grosbeaksy", (9, 10)),  # all that the one name stands for
    ],
)
def test_one_edit_is_forgiven(key, expected):
    assert find(key) == expected


@pytest.mark.parametrize(
    "key", ["abbyssiniann", "abyssnan", "abxxsinian", "naissybaxx", "zzzzzzzz"]
)
def test_two_edits_are_not(key):
    assert find(key) == ()


def test_swapped_letters_must_be_neighbors():
    assert find("abysnisian") == ()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ct", ()), ("cot", ()), ("tenr", ()),
        ("samoyid", ()),  # seven letters: too short to be a misspelt name
        ("samoyeid", (3,)),  # eight letters, of a name of seven
        ("abyssani", (1,)),  # eight letters
    ],
)  # fmt: skip
def test_short_names_are_taken_at_their_letters(key, expected):
    assert find(key) == expected


def test_between_two_names_that_near_none_is_chosen():
    assert find("mockingbxrd") == ()


@pytest.mark.parametrize("key", ["boeing737900", "boeing73780", "abyssinia1"])
def test_designations_are_not_compared(key):
    assert find(key) == ()


def test_a_name_itself_is_found():
    assert find("abyssinian") == (2,)
