"""The GPUs of this machine: which there are, and which of them a job has for itself.

A GPU is held by a lock on a file of its own, which frees itself when the job dies. Jobs of several
starts of Snakemake, of one user, so never meet on one. CUDA_VISIBLE_DEVICES tells the job and its
children which it is.
"""

import fcntl
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from speciarl.errors import ConfigError
from speciarl.progress import say

LOCKS = Path("/tmp") / f"speciarl-gpus-{os.getuid()}"  # not TMPDIR, which a shell may have changed
VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL_SECONDS = 1.0
_QUERY = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")


@cache
def identities() -> dict[str, str]:
    """The GPUs of this machine: their number, in the order of the bus, and what is theirs alone."""
    if shutil.which(_QUERY[0]) is None:
        return {}
    listed = subprocess.run(_QUERY, capture_output=True, text=True)
    rows = [line.split(", ") for line in listed.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def visible() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get(VISIBLE)
    names = list(identities()) if named is None else named.split(",")
    return [name for name in names if name not in ("", "-1")]


@contextmanager
def own_gpus(count: int, locks: Path = LOCKS) -> Iterator[list[str]]:
    """Hold so many GPUs, and let this process and its children see no other.

    It waits while other jobs hold them, and says so: all at once or none, so that two jobs never
    wait for one another.

    Raises:
        ConfigError: there are not as many.
    """
    names = visible()
    if count > len(names):
        raise ConfigError(
            f"the job takes {count} GPUs and {len(names)} are here: lower `gpu` of its stage in "
            "resources, or start it where there are more"
        )
    locks.mkdir(exist_ok=True)
    with ExitStack() as held:
        chosen = _hold(names, count, locks, held)
        if chosen is None:
            say(f"waits for {count} of the GPUs {', '.join(names)}, which other jobs hold")
        while chosen is None:
            time.sleep(POLL_SECONDS * (0.5 + random.random()))
            chosen = _hold(names, count, locks, held)
        os.environ[VISIBLE] = ",".join(chosen)
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # that of `identities`
        yield chosen


def _hold(names: Sequence[str], count: int, locks: Path, held: ExitStack) -> list[str] | None:
    """The first so many that nobody else holds; holds none where there are fewer."""
    chosen: list[str] = []
    with ExitStack() as taken:
        for name in names[: None if count else 0]:
            # by what no two GPUs share: within a job of Slurm each may be number 0
            file = locks / identities().get(name, name)
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            taken.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            chosen.append(name)
            if len(chosen) == count:
                break
        if len(chosen) < count:
            return None
        held.push(taken.pop_all())
    return chosen
