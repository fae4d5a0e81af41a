"""What can be wrong with a start of the workflow before its first rule is read."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from speciarl.config.reading import read
from speciarl.disk import NOTHING, free
from speciarl.errors import ConfigError
from speciarl.paths import MADE


def check_start(cores: int | None) -> None:
    """See that jobs can run and that what they make has a place.

    Raises:
        ConfigError: one line that says what is in the way.
    """
    if cores is not None and cores < 1:
        raise ConfigError(f"--cores {cores}: expected a number from 1, or all")
    for path in MADE:
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path} is a file, and stages fill a folder of that name: move it")
    temporary = Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    if free(temporary) < NOTHING:
        raise ConfigError(
            f"no room left for temporary files in {temporary}: make some, or let TMPDIR name a "
            "folder with room"
        )


def check_config_files(command: list[str]) -> None:
    """See that the files after --configfile can be read, and leave with one line where not.

    Snakemake reads them before the Snakefile, and takes a target after them for one of them.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", type=Path, default=[])
    try:
        for path in parser.parse_known_args(command)[0].configfile:
            if not path.exists():
                raise ConfigError(
                    f"--configfile: there is no file {str(path)!r}: where it is a target, write -- "
                    "before it"
                )
            read(path)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
