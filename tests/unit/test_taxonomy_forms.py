"""Surface forms: what counts as the same name, and what is cut away around a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciarl.taxonomy.facts import Words
from speciarl.taxonomy.forms import (
    Cleaner,
    Years,
    key,
    stem,
    take_years,
    tokens,
)

WORDS = Words(
    spelling={"grey": "gray", "saint": "st", "n": "and"},
    subjects=("the", "this", "image", "photo", "bird", "dog", "in", "prediction", "it"),
    verbs=("is", "shows", "appears to be"),
    leads=("photo", "of", "image", "probably"),
    containers=("plate", "slice"),
    cuts=("sitting", "with", "in"),
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Forster's Tern", "Forsters Tern"),
        ("Red-winged Blackbird", "red winged blackbirds"),
        ("crème brûlée", "creme brulee"),
        ("Great Grey Shrike", "great gray shrike"),
        ("Saint Bernard", "St. Bernard"),
        ("mac & cheese", "mac and cheese"),
        ("mac 'n' cheese", "Mac and Cheese"),
        ("sea gull", "Seagulls"),
        ("cup cakes", "cupcake"),
        ("737-800", "737 800"),
        ("F/A-18", "FA-18"),
        ("oxeye daisies", "ox-eye daisy"),
        ("French fries", "french fry"),
    ],
)
def test_one_key_for_every_way_of_writing_a_name(one: str, other: str) -> None:
    assert key(tokens(one, WORDS)) == key(tokens(other, WORDS))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("737-800", "737-900"),
        ("Cessna 172", "Cessna 172S"),
        ("bee balm", "balm"),
        ("Tu-134", "Tu-154"),
        ("house wren", "house sparrow"),
        ("bass", "bas"),
    ],
)
def test_different_names_keep_different_keys(one: str, other: str) -> None:
    assert key(tokens(one, WORDS)) != key(tokens(other, WORDS))


@pytest.mark.parametrize(
    ("singular", "plural"),
    [("finch", "finches"), ("iris", "irises"), ("pie", "pies"), ("potato", "potatoes"),
     ("cookie", "cookies"), ("jay", "jays"), ("box", "boxes")],
)  # fmt: skip
def test_stem_joins_singular_and_plural(singular: str, plural: str) -> None:
    assert stem(singular) == stem(plural)


@pytest.mark.parametrize(
    ("prediction", "left"),
    [
        ("The bird in the image is a Western Gull", "western gull"),
        ("a photo of a Western Gull", "western gull"),
        ("This appears to be a pug", "pug"),
        ("a plate of gnocchi", "gnocchi"),
        ("an A320", "a320"),
        ("love in the mist", "love in mist"),
        ("the robin is a kind friend", "robin is a kind friend"),
    ],
)
def test_the_carrier_is_removed_and_nothing_else(prediction: str, left: str) -> None:
    assert Cleaner(WORDS).tokens(prediction)[-1] == tokens(left, WORDS)


def test_a_leading_article_stays_where_it_may_be_part_of_a_designation() -> None:
    assert Cleaner(WORDS).tokens("A 320")[-1] == ("a", "320")
    assert Cleaner(WORDS).tokens("An-12")[-1] == ("an", "12")


def test_cuts_come_before_each_describing_clause() -> None:
    parts = tokens("pug sitting in grass", WORDS)
    assert list(Cleaner(WORDS).cut(parts)) == [("pug",), ("pug", "sitting")]


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("2012 Honda Accord", (Years(2012, 2012),)),
        ("Honda Accord 2012", (Years(2012, 2012),)),
        ("Dodge Charger (2011-2014)", (Years(2011, 2014),)),
        ("Dodge Charger 2011-14", (Years(2011, 2014),)),
        ("Toyota 4Runner (2010-present)", (Years(2010, 9999),)),
        ("a 1990s Volvo", (Years(1990, 1999),)),
        ("Audi 100", ()),
    ],
)
def test_years_are_taken_out_of_a_text(text: str, years: tuple[Years, ...]) -> None:
    left, found = take_years(text)
    assert found == years
    assert not any(str(year.first) in left for year in found)


@given(st.text(max_size=400))
def test_no_text_breaks_the_cleaning(text: str) -> None:
    views = Cleaner(WORDS).tokens(text)
    assert views and all(isinstance(view, tuple) for view in views)
    assert tokens(text.upper(), WORDS) == tokens(text.upper().lower(), WORDS)
