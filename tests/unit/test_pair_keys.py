"""Keys of pairs: blake2b of the three texts, the first two led by their lengths."""

import hashlib
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciarl.cache.index import PairKeys


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
