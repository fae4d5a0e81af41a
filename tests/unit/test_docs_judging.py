"""docs/judging.md: every example is judged as the page says."""

import re
import shlex
from collections import Counter
from pathlib import Path

from typer.testing import CliRunner

from speciarl.cli.main import app
from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import Pair, Verdict
from speciarl.verifiers.taxonomy import Taxonomic

PAGE = (Path(__file__).parents[2] / "docs/judging.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\| ([^|`]+) \| `(.+)` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)


def test_every_example_is_judged_as_the_page_says(judge):
    assert len(EXAMPLES) >= 12
    for class_name, prediction, verdict, decided_by in EXAMPLES:
        found = judge.judge(class_name, prediction)
        assert (found.verdict, found.decided_by) == (verdict, decided_by), prediction


def test_the_command_prints_what_the_page_shows():
    command, printed = re.search(r"```console\n\$ speciarl (.+)\n((?:.+\n)+)```", PAGE).groups()
    assert CliRunner().invoke(app, shlex.split(command)).stdout == printed


def test_of_datasets_that_share_a_class_the_better_verdict_counts(taxonomy):
    def verdict(*datasets: str) -> Verdict | None:
        judge = Taxonomic(Taxonomy.load(Path("data/taxonomies"), datasets))
        return judge.relation(Pair("pizza", "dish")).verdict

    assert verdict("food101") is Verdict.GENERIC
    assert verdict("caltech101") is verdict("food101", "caltech101") is Verdict.LESS_SPECIFIC
    named = Counter(name.lower() for names in taxonomy.classes.values() for name in names)
    assert {name for name, count in named.items() if count > 1} >= {"pizza", "lotus", "sunflower"}
