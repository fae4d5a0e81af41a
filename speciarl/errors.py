"""Failures that a user can act on.

Each is raised with one line that names the thing, what was expected and what to do. The
command line and the workflow print that line and exit with a code other than 0; anything
else that escapes is a fault of ours and keeps its traceback.
"""


class SpeciaRLError(Exception):
    """Base of all expected failures; `str(error)` is the one line for the user, who may read it on
    a terminal: names and texts in it come from anywhere."""

    def __str__(self) -> str:
        return printable(super().__str__())


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


class ServerError(SpeciaRLError):
    """A server of ours did not start, or has not answered in time."""


class DiskError(SpeciaRLError):
    """There is no room on a disk, or it may not be written."""


class TrainingError(SpeciaRLError):
    """A training run cannot start, go on, or be trusted."""


def printable(text: str) -> str:
    """A text with what a terminal would obey or hide (control characters) written out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def one_line(said: object) -> str:
    """What an exception or another program says, or how it begins, on one printable line."""
    line = printable(" ".join(str(said)[:10_000].split()))
    return line if len(line) <= 300 else f"{line[:296]} ..."
