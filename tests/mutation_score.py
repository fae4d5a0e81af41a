"""How many of the mutants that `mutmut run` tried were noticed, by module; fails below LEAST."""

import json
from pathlib import Path

from mutmut.stats import status_by_exit_code

MUTANTS = Path("mutants")
NOTICED = {"killed", "timeout", "segfault"}
LEAST = 0.9


def noticed(meta: Path) -> list[bool]:
    """Of each mutant of a module, whether a test noticed it."""
    codes = json.loads(meta.read_text())["exit_code_by_key"].values()
    return [status_by_exit_code[code] in NOTICED for code in codes]


def main() -> None:
    modules = {path.relative_to(MUTANTS).with_suffix(""): noticed(path)
               for path in sorted(MUTANTS.rglob("*.meta"))}  # fmt: skip
    everything = [one for of_module in modules.values() for one in of_module]
    for name, found in {**modules, "all": everything}.items():
        if found:
            share = sum(found) / len(found)
            print(f"{name!s:40} {sum(found):5} of {len(found):5} noticed, {share:.1%}")
    if not everything or sum(everything) < LEAST * len(everything):
        raise SystemExit(f"error: fewer than {LEAST:.0%} were noticed: see `mutmut results`")


if __name__ == "__main__":
    main()
