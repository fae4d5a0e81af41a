"""Verdicts out of a store and into one: parquet export, import, merge, forgetting.

What comes in is held against the ladder and against what is there: of two verdicts on one key the
store keeps its own, and says so.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from speciarl.cache.index import PairKeys
from speciarl.cache.lock import beside
from speciarl.cache.reading import ask, copied
from speciarl.cache.store import opened
from speciarl.cache.verdict_cache import INDEX, INSERT_VERIFIER
from speciarl.errors import CacheError, DataError
from speciarl.files import read_foreign_parquet, write_parquet
from speciarl.verdicts import LABELS, fingerprint

log = logging.getLogger(__name__)

EXPORT = (
    "verifier", "identity", "class", "prediction", "verdict", "decided_by", "judge_reply",
    "milliseconds", "run", "created_at",
)  # fmt: skip
_NULLABLE = ("decided_by", "judge_reply", "milliseconds")
_TEXT = (pl.String, pl.Enum, pl.Categorical)
_KINDS = dict.fromkeys(EXPORT, _TEXT) | {
    "milliseconds": (pl.Float32, pl.Float64),
    "created_at": (pl.Datetime,),
}
_SNAPSHOT = dict.fromkeys(
    ("verifier", "class", "prediction", "decided_by"), pl.String
) | {"verdict": pl.Enum(LABELS), "key_high": pl.UInt64, "key_low": pl.UInt64}  # fmt: skip
MAX_IDENTITY = 100_000  # characters; the longest prompt has a twentieth of it
MAX_VERIFIERS = 1_000  # of one import
_TAKE_IN = "INSERT INTO verdicts BY NAME FROM incoming ANTI JOIN verdicts USING (key_high, key_low)"
_CONFLICTS = """
SELECT verifier, class, prediction, ours.verdict::VARCHAR AS kept, theirs.verdict AS refused
FROM incoming AS theirs JOIN verdicts AS ours USING (key_high, key_low, verifier, class, prediction)
WHERE kept != refused ORDER BY ALL
"""


@dataclass(frozen=True)
class TakenIn:
    """What became of the verdicts that came in; `total` is the sum of the three others."""

    total: int
    added: int
    present: int
    conflicts: pl.DataFrame
    """verifier, class, prediction, kept, refused: where the store had another verdict."""

    def __str__(self) -> str:
        return (
            f"{self.total} verdicts in: {self.added} added, {self.present} already there, "
            f"{self.conflicts.height} in conflict"
        )


PAID, SNAPSHOTS = "paid.parquet", "precomputed/*.parquet"  # beside the store
PAID_FOR = ("llm", "local")  # what `decided_by` says of verdicts that cost money or hours


def export_paid(store: Path, into: Path) -> int:
    """Write those verdicts for which a language model was asked, for `refill`."""
    refill(store)
    with opened(store):  # which makes an absent one
        pass
    rows = stored_verdicts(store, PAID_FOR)
    write_parquet(rows, into)
    return rows.height


def refill(store: Path, paid: Path | None = None) -> None:
    """Begin an absent store, as in a clone, with paid verdicts: by default those beside it."""
    paid = paid or store.with_name(PAID)
    if paid.is_file() and not store.exists():
        taken = import_file(store, paid)
        log.info("a new store begins with %s: %s", paid, taken)


def begin(store: Path, source: Path) -> None:
    """Fill an absent store with what another, absent too, would begin with, if anything: verdicts
    beside it, paid or precomputed, as `dvc pull` brings them."""
    refill(store, source.with_name(PAID))
    files = sorted(source.parent.glob(SNAPSHOTS))
    snapshots = [read_foreign_parquet(file, _SNAPSHOT) for file in files]
    if snapshots:
        # a pair stands in the snapshots of all datasets that have its class
        rows = pl.concat(snapshots).unique(["key_high", "key_low"], maintain_order=True)
        rows = rows.with_columns(pl.col("verdict").cast(pl.String), run=pl.lit("snapshot"))
        with opened(store) as db:
            db.register("incoming", rows).execute(_TAKE_IN)
            db.unregister("incoming")


def stored_verdicts(store: Path, decided_by: Sequence[str] | None = None) -> pl.DataFrame:
    """Verdicts with their verifier's identity: columns of EXPORT, sorted by what is judged.

    Args:
        decided_by: only what one of these decided; everything where not given.
    """
    query = "SELECT * EXCLUDE (key_high, key_low, number) REPLACE (verdict::VARCHAR AS verdict)"
    query += " FROM store.verdicts ORDER BY verifier, class, prediction"
    with copied(store) as db:
        rows = ask(db, query)
        identities = ask(db, "SELECT verifier, identity::VARCHAR AS identity FROM verifiers")
    if decided_by is not None:
        rows = rows.filter(pl.col("decided_by").is_in(decided_by))
    # An Enum, since one identity may be long and belongs to a million rows; of those that have
    # rows, in an order of their own: what else the store has seen is no part of these bytes.
    named = identities.join(rows, on="verifier", how="semi").sort("verifier")
    named = named.with_columns(pl.col("identity").cast(pl.Enum(named["identity"])))
    joined = rows.join(named, on="verifier", how="left", maintain_order="left")
    return joined.select(EXPORT).with_columns(pl.col("verdict").cast(pl.Enum(LABELS)))


def export_store(store: Path, into: Path) -> int:
    """Write every verdict into a parquet file; the same content gives the same bytes.

    Raises:
        CacheError: the file is this store, by whatever name, or what belongs to it.
    """
    beside = into.resolve().parent == store.resolve().parent
    if _same(store, into) or (beside and into.name.startswith(f"{store.resolve().name}.")):
        raise CacheError(f"{into} is the store itself, or its lock: name another file")
    rows = stored_verdicts(store)
    write_parquet(rows, into)
    return rows.height


def import_file(store: Path, file: Path) -> TakenIn:
    """Take in an exported file.

    Raises:
        CacheError: it cannot be read, has not the columns of an export, or another ladder.
    """
    try:
        rows = read_foreign_parquet(file)
    except DataError as error:
        raise CacheError(str(error)) from None
    return _take_in(store, rows, file)


def merge_store(store: Path, other: Path) -> TakenIn:
    """Take in the verdicts of another store; its notes of lookups stay behind.

    Raises:
        CacheError: it is this store, or no store of this layout and ladder.
    """
    if _same(store, other):
        raise CacheError(f"{other} is the store itself: name another one")
    return _take_in(store, stored_verdicts(other), other)


def forget(store: Path, equal: Mapping[str, str]) -> int:
    """Remove the verdicts whose columns have these values; all of them where none is given.

    Saved indexes go with them, which would not be taken for true any more. Processes that run keep
    what they have in memory.
    """
    wanted = " AND ".join(f"{column} = ${column}" for column in equal) or "true"
    if not store.is_file():
        raise CacheError(f"{store} does not exist: there is nothing to forget")
    with opened(store) as db:
        statement = f"DELETE FROM verdicts WHERE {wanted}"
        ((count,),) = db.execute(statement, dict(equal) or None).fetchall()
        verifiers = db.execute("SELECT verifier FROM verifiers").fetchall() if count else []
        for (verifier,) in verifiers:
            beside(store, INDEX.format(verifier)).unlink(missing_ok=True)
    return count


def _take_in(store: Path, rows: pl.DataFrame, source: Path) -> TakenIn:
    identities = _require_ours(rows, source)
    texts = [name for name in EXPORT if _KINDS[name] is _TEXT]
    rows = rows.select(EXPORT).with_columns(pl.col(texts).cast(pl.String)).drop("identity")
    incoming = _with_keys(rows)
    store.parent.mkdir(parents=True, exist_ok=True)
    with opened(store) as db:
        for verifier, identity in identities:
            db.execute(INSERT_VERIFIER, [verifier, identity])
        # of equal keys in the source itself the first counts; the others are held against it
        first = incoming.unique(["key_high", "key_low"], keep="first", maintain_order=True)
        ((added,),) = db.register("incoming", first).execute(_TAKE_IN).fetchall()
        found = db.register("incoming", incoming).sql(_CONFLICTS)
        conflicts = pl.DataFrame(found.to_arrow_table())
        db.unregister("incoming")
    return TakenIn(rows.height, added, rows.height - added - conflicts.height, conflicts)


def _same(one: Path, other: Path) -> bool:
    """Whether two names are of one file, be it through links."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def _require_ours(rows: pl.DataFrame, source: Path) -> list[tuple[str, str]]:
    """The verifiers with their identities; refuses what no store of ours would export."""
    missing = [name for name in EXPORT if name not in rows.columns]
    if missing:
        raise CacheError(f"{source} has no column {missing[0]!r}: it is no export of a store")
    _require_values(rows, source)
    kind = rows.schema["verdict"]
    ladder = kind.categories if isinstance(kind, pl.Enum) else rows["verdict"].unique().sort()
    foreign = [label for label in ladder if label not in LABELS]
    if foreign or (isinstance(kind, pl.Enum) and tuple(ladder) != LABELS):
        raise CacheError(f"{source} has another ladder of verdicts: {', '.join(map(str, ladder))}")
    identities = rows.select("verifier", "identity").unique().sort("verifier").rows()
    if len(identities) > MAX_VERIFIERS or any(len(i) > MAX_IDENTITY for _, i in identities):
        raise CacheError(
            f"{source}: expected at most {MAX_VERIFIERS} verifiers with identities of at most "
            f"{MAX_IDENTITY} characters: it is no export of a store"
        )
    for verifier, identity in identities:
        if not _names(verifier, identity):
            raise CacheError(f"{source}: {verifier!r} is not the fingerprint of its identity")
    return identities


def _require_values(rows: pl.DataFrame, source: Path) -> None:
    """Refuse a column of another type, or without a value where the store needs one."""
    for name, kinds in _KINDS.items():
        if not isinstance(rows.schema[name], kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise CacheError(
                f"{source}: column {name!r} is {rows.schema[name]}, expected {expected}: it is no "
                "export of a store"
            )
        if name not in _NULLABLE and rows[name].null_count():
            raise CacheError(f"{source}: column {name!r} has rows without a value: remove them")


def _names(verifier: str, identity: str) -> bool:
    try:
        return fingerprint(json.loads(identity)) == verifier
    except (ValueError, RecursionError):  # also half a surrogate pair
        return False


def _with_keys(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with key_high and key_low, by verifier."""
    parts = rows.partition_by("verifier", maintain_order=True)
    of_verifiers = [PairKeys(part["verifier"][0]).added_to(part) for part in parts]
    return pl.concat(of_verifiers) if parts else PairKeys("").added_to(rows)
