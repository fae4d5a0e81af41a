"""Verdicts between stores on the disks of several nodes, through files on the disk that all share.

Where files cannot be locked across nodes, each node has a store of its own. A job begins it with
what the others have exported and exports what it adds; the stage `export_paid_verdicts` takes all
of that together.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from speciarl.cache.transfer import import_file, refill, stored_verdicts
from speciarl.files import write_parquet

log = logging.getLogger(__name__)


@contextmanager
def own_store(
    given: Mapping[str, str], run: str, name: str, only: Sequence[str] | None = None
) -> Iterator[Path]:
    """The store of a job; what the job adds to it goes to the other nodes, also where it fails.

    Args:
        given: `file`, the store; `paid`, verdicts that a new one begins with; and `exchange`, a
            folder, where the store is one of several.
        run: noted beside the verdicts that the job adds.
        name: of the job among those that export.
        only: exports what one of these decided; all where not given.
    """
    store, paid = Path(given["file"]), Path(given["paid"])
    if "exchange" not in given:
        refill(store, paid)
        yield store
        return
    folder = Path(given["exchange"])
    take_in_exchanged(store, paid, folder)
    try:
        yield store
    finally:
        if store.is_file():
            # by the run: what an attempt added that was killed here is exported by the next one
            added = stored_verdicts(store, only).filter(run=run)
            if added.height:
                write_parquet(added, folder / f"{name}.parquet")
            log.info("%d verdicts for the other nodes", added.height)


def take_in_exchanged(store: Path, paid: Path, folder: Path) -> list[Path]:
    """Put into a store what was paid for and what jobs have exported; gives the jobs' files.

    Of two verdicts on one pair the first counts, by the names of the files; the others are logged.
    """
    exported = sorted(folder.glob("*.parquet"))
    for file in [paid] * paid.is_file() + exported:
        taken = import_file(store, file)
        log.info("%s: %s", file, taken)
        for conflict in taken.conflicts.iter_rows(named=True):
            log.warning("%s: in conflict: %s", file, conflict)
    return exported
