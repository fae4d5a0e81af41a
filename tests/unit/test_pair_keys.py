"""Keys of pairs: blake2b of the three texts, the first two led by their lengths."""

import hashlib
import threading

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciarl.cache.index import ABSENT, KEY, Index, PairKeys


def content(text):
    return len(text.encode()).to_bytes(4, "little") + text.encode()


def expected(verifier, class_name, prediction):
    whole = content(verifier) + content(class_name) + prediction.encode()
    return hashlib.blake2b(whole, digest_size=16).digest()


texts = st.text(max_size=6)


@given(texts, st.lists(st.tuples(texts, texts), max_size=6))
def test_a_key_is_the_hash_of_its_three_texts(verifier, pairs):
    keys = PairKeys(verifier)(pairs)
    assert keys.dtype == np.uint64 and keys.shape == (len(pairs), 2)
    assert [row.tobytes() for row in keys] == [expected(verifier, *pair) for pair in pairs]


def test_a_written_out_key_stays_what_it_is():
    """Stores hold such keys: another one would lose every verdict."""
    (key,) = PairKeys("v")([("Herring Gull", "gull")]).tolist()
    assert key == [14818329310007443039, 13679223620915941057]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc", "d"), ("ab", "c", "d")),
        (("a", "bc", "d"), ("a", "b", "cd")),
        (("", "", "a"), ("", "a", "")),
    ],
)
def test_no_two_triples_share_their_bytes(one, other):
    (first,), (second,) = (PairKeys(v)([(c, a)]).tolist() for v, c, a in (one, other))
    assert first != second


def test_a_class_is_hashed_once_and_never_half_done():
    keys = PairKeys("v")
    batch = [(f"class {i % 3}", f"prediction {i}") for i in range(30)]
    assert (keys(batch) == keys(batch)).all()
    found = []
    threads = [threading.Thread(target=lambda: found.append(keys(batch))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((one == keys(batch)).all() for one in found)


def test_a_table_gets_the_keys_of_its_rows():
    table = pl.DataFrame({"prediction": ["gull", "tern"], "class": ["Gull", "Tern"], "n": [1, 2]})
    keyed = PairKeys("v").added_to(table)
    assert keyed.columns == ["prediction", "class", "n", *KEY]
    assert (
        keyed.select(KEY).to_numpy() == PairKeys("v")([("Gull", "gull"), ("Tern", "tern")])
    ).all()
    assert PairKeys("v").added_to(table.clear()).schema == keyed.schema


# Few halves, so that many keys share one; from both ends, where a search goes wrong first.
halves = st.sampled_from([0, 1, 2, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1])
key_sets = st.sets(st.tuples(halves, halves), max_size=40)


@given(st.lists(key_sets, max_size=4), st.lists(st.tuples(halves, halves), max_size=40))
def test_an_index_finds_what_a_dict_does(parts, wanted):
    index, by_key = Index(), {}
    for part in parts:
        fresh = [key for key in part if key not in by_key]
        codes = range(len(by_key) + 1, len(by_key) + len(fresh) + 1)
        by_key.update(zip(fresh, codes, strict=True))
        high, low = np.array(fresh, np.uint64).reshape(-1, 2).T
        index.add(high, low, np.array(codes, np.uint16))
    found = index.find(np.array(wanted, np.uint64).reshape(-1, 2))
    assert found.tolist() == [by_key.get(key, ABSENT) for key in wanted]
    assert len(index) == len(by_key)


def test_a_large_index_finds_every_key_and_no_other():
    drawn = np.random.default_rng(0).integers(0, 2**64, (60_000, 2), dtype=np.uint64)
    held, others = drawn[:50_000], drawn[50_000:]
    index = Index()
    for part in np.array_split(held, [100, 20_000, 21_000]):
        index.add(part[:, 0], part[:, 1], np.full(len(part), len(part) % 1000 + 1, np.uint16))
    assert (index.find(held) != ABSENT).all() and (index.find(others) == ABSENT).all()
    assert index.find(held[[0, 150, 20_500, 49_999]]).tolist() == [101, 901, 1, 1]


@given(st.lists(key_sets, max_size=3), st.lists(st.tuples(halves, halves), max_size=40))
def test_a_saved_index_finds_what_it_found(tmp_path_factory, parts, wanted):
    index = Index()
    for number, part in enumerate(parts):
        fresh = np.array(sorted(part), np.uint64).reshape(-1, 2)
        fresh = fresh[index.find(fresh) == ABSENT]
        index.add(fresh[:, 0], fresh[:, 1], np.arange(len(fresh), dtype=np.uint16) + 1 + number)
    path = tmp_path_factory.mktemp("index") / "saved"
    index.save(path, {"last": 7, "label": "é"})
    loaded, about = Index.load(path)
    keys = np.array(wanted, np.uint64).reshape(-1, 2)
    assert (loaded.find(keys) == index.find(keys)).all()
    assert (len(loaded), about) == (len(index), {"last": 7, "label": "é"})


@given(st.integers(0, 2**16), st.sampled_from(["cut", "flipped", "empty"]))
def test_a_damaged_index_is_none_or_what_it_was(tmp_path_factory, place, how):
    keys = np.random.default_rng(1).integers(0, 2**64, (50, 2), dtype=np.uint64)
    index = Index()
    index.add(keys[:, 0], keys[:, 1], np.arange(1, 51, dtype=np.uint16))
    path = tmp_path_factory.mktemp("index") / "saved"
    index.save(path, {"last": 50})
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place] ^= 1 << place % 8
    whole = bytes(content)
    path.write_bytes({"cut": whole[:place], "flipped": whole, "empty": b""}[how])
    found = Index.load(path)
    assert found is None or (
        found[1] == {"last": 50} and found[0].find(keys).tolist() == list(range(1, 51))
    )
    assert Index.load(path.with_name("absent")) is None
