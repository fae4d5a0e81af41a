"""The table of classes against terms: the same as asking for each pair, but by joins."""

from functools import cache
from pathlib import Path

import polars as pl
import pytest

from speciarl.errors import TaxonomyError
from speciarl.taxonomy import Taxonomy
from speciarl.taxonomy.table import every_pair
from speciarl.verdicts import LABELS
from tests.facts import taxonomy

FOLDER = Path(__file__).resolve().parents[2] / "data" / "taxonomies"
CLASSES = {
    "cub200": ["Western Gull", "Frigatebird", "Yellow breasted Chat"],
    "fgvc_aircraft": ["737-800", "MD-87", "A380"],
    "food101": ["gyoza", "steak", "poutine"],
    "flowers102": ["gaura", "pink primrose"],
    "stanford_cars": ["Hyundai Sonata Hybrid Sedan 2012", "Jeep Grand Cherokee SUV 2012",
                      "Ferrari 458 Italia Convertible 2012"],
}  # fmt: skip


@cache
def table() -> pl.DataFrame:
    return taxonomy().table(CLASSES)


def test_columns_order_and_uniqueness() -> None:
    frame = table()
    assert frame.columns == ["dataset", "class_name", "term", "verdict", "path"]
    ladder = pl.Enum(LABELS)
    assert frame.dtypes == [pl.String, pl.String, pl.String, ladder, pl.String]
    keys = frame.select("dataset", "class_name", "term")
    assert keys.equals(keys.sort("dataset", "class_name", "term"))
    assert keys.n_unique() == len(frame)
    assert frame.select("dataset", "term", "path").null_count().sum_horizontal().item() == 0


def test_a_row_without_a_class_tells_what_a_term_is_of_all_that_have_no_row_with_it() -> None:
    implied = table().filter(pl.col("class_name").is_null())
    for dataset in CLASSES:
        assert tuple(implied.filter(dataset=dataset)["term"]) == taxonomy().terms(dataset)
    assert set(implied["verdict"]) == {"wrong", None}
    assert "wrong" not in set(table().drop_nulls("class_name")["verdict"])


def test_classes_have_few_rows_of_their_own() -> None:
    own = table().drop_nulls("class_name")
    assert own["class_name"].n_unique() == sum(map(len, CLASSES.values()))
    assert own.height < every_pair(table()).height / 20


def test_only_the_classes_asked_for() -> None:
    found = table().select("dataset", "class_name").drop_nulls().unique().rows()
    assert sorted(found) == sorted((d, name) for d, names in CLASSES.items() for name in names)


def test_every_row_is_what_relation_says() -> None:
    paths = {row[:3]: row[4] for row in table().iter_rows()}
    for dataset, class_name, term, verdict in every_pair(table()).iter_rows():
        path = paths.get((dataset, class_name, term), "")
        found = taxonomy().relation(class_name, term, dataset)
        if verdict == "wrong":
            # a mere letter or two is a name, but too short to be read out of a prediction
            assert found.verdict is None or found.verdict.value == "wrong", (class_name, term)
            assert path == ""
        else:
            assert found.verdict is not None, (class_name, term)
            assert found.verdict.value == verdict, (class_name, term, found)
            assert path.split(" > ")[0] == class_name


def test_every_term_has_a_row_unless_it_is_undecided() -> None:
    for dataset, names in CLASSES.items():
        for name in names:
            rows = set(every_pair(table()).filter(pl.col("class_name") == name)["term"])
            for term in set(taxonomy().terms(dataset)) - rows:
                assert taxonomy().relation(name, term, dataset).verdict is None, (name, term)


def test_disputed_and_open_terms_have_no_row() -> None:
    def terms_of(name: str) -> set[str]:
        return set(every_pair(table()).filter(pl.col("class_name") == name)["term"])

    assert "warbler" not in terms_of("Yellow breasted Chat")
    assert "tropical plant" not in terms_of("gaura")
    assert "warbler" in terms_of("Western Gull")


def test_the_same_rows_every_time() -> None:
    assert table().equals(Taxonomy.load(FOLDER, list(CLASSES)).table(CLASSES))


def test_the_name_is_shown_as_it_was_asked_for() -> None:
    names = (
        taxonomy().table({"cub200": ["western gull"]})["class_name"].drop_nulls().unique().to_list()
    )
    assert names == ["western gull"]


def test_no_classes_give_no_rows() -> None:
    assert taxonomy().table({}).is_empty()
    assert every_pair(taxonomy().table({"cub200": []})).is_empty()


def test_an_undescribed_class_is_refused() -> None:
    with pytest.raises(TaxonomyError, match="'Dodo' of cub200"):
        taxonomy().table({"cub200": ["Dodo"]})
