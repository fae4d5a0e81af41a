"""`snakemake --lint` without the wish that every rule name a conda environment or a container.

All stages run in the one environment that `make` installs from constraints.txt, as the library does
of which each calls a function: an environment per rule would be a second list of the same pins.
"""

from snakemake.cli import main
from snakemake.linting.rules import RuleLinter

del RuleLinter.lint_missing_software_definition
main(["--lint"])
