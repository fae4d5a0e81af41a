"""Failures that a user can act on.

Each is raised with one line that names the thing, what was expected and what to do. The
command line and the workflow print that line and exit with a code other than 0; anything
else that escapes is a fault of ours and keeps its traceback.
"""

import textwrap


class SpeciaRLError(Exception):
    """Base of all expected failures; `str(error)` is the one line for the user."""


class ConfigError(SpeciaRLError):
    """A parameter is unknown, missing or impossible."""


class DataError(SpeciaRLError):
    """An archive, manifest or image is missing, corrupt or not what its source states."""


class TaxonomyError(SpeciaRLError):
    """A class has no entry, or the facts contradict each other."""


class VerifierError(SpeciaRLError):
    """A verifier could not be reached, or its predictions cannot be used."""


class CacheError(SpeciaRLError):
    """The verdict store cannot be opened, or is not one of ours."""


class DiskError(SpeciaRLError):
    """There is no room on a disk, or it may not be written."""


class TrainingError(SpeciaRLError):
    """A training run cannot start, go on, or be trusted."""


def one_line(said: object) -> str:
    """What an exception or another program says, or how it begins, on one line."""
    return textwrap.shorten(str(said), 300, placeholder=" ...")
