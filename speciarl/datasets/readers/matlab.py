"""MATLAB files, read in a process of their own: on damaged ones SciPy may crash or fill the memory.

`python -m speciarl.datasets.readers.matlab FILE VARIABLE` pickles the variable to its output.
"""

import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from speciarl.errors import DataError, one_line

MOST_MEMORY = 8 << 30  # bytes of address space; the largest table of a benchmark takes a few MB
MOST_SECONDS = 120


def read_variable(path: Path, name: str) -> np.ndarray:
    """One variable of a MATLAB 5 file, flattened.

    Raises:
        DataError: the file is something else, damaged, or without that variable.
    """
    command = [sys.executable, "-m", __name__, str(path.absolute()), name]
    try:
        done = subprocess.run(command, capture_output=True, timeout=MOST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise DataError(f"{path}: reading took over {MOST_SECONDS} s; fetch it again") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        why = one_line(said) or f"its reader died of signal {-done.returncode}"
        raise DataError(f"{path}: expected a MATLAB 5 file ({why}); fetch it again")
    found = pickle.loads(done.stdout)
    if found is None:
        raise DataError(f"{path}: expected the variable {name!r}, which is not there")
    return found.ravel()


def _main(path: str, name: str) -> None:
    import scipy.io

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    found = scipy.io.loadmat(path, variable_names=[name]).get(name)
    if found is not None and not isinstance(found, np.ndarray):
        raise TypeError(f"{name} is no array")
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
