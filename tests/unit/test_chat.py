"""The prompts of the judges: complete, consistent with the rules, apart from the benchmarks."""

import json
import re
from pathlib import Path

import pytest

from speciarl.answers import normalize
from speciarl.config.data import DATASETS
from speciarl.errors import ConfigError
from speciarl.prompts import FOR_THE_JUDGES, names_in
from speciarl.taxonomy.facts import load_facts
from speciarl.verdicts import LABELS, Pair
from speciarl.verifiers.chat import load_question
from speciarl.verifiers.rules import Rules

FACTS = Path(__file__).parents[2] / "data/taxonomies"
NAMES = names_in(FOR_THE_JUDGES)
EXAMPLES = [
    (name, json.loads(pair), label)
    for name in NAMES
    for pair, label in re.findall(
        rf"^({{.*}}).*-> ({'|'.join(sorted(LABELS, key=len, reverse=True))})\b",
        load_question(name).prompt,
        re.MULTILINE,
    )
]


def test_there_is_a_base_prompt_and_three_variants():
    assert NAMES == ["base", "checklist", "decision_procedure", "normalize_first"]
    assert len({load_question(name).prompt for name in NAMES}) == 4


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_tells_all_six_labels_and_that_a_prediction_is_data(name):
    prompt = load_question(name).prompt
    assert all(label in prompt for label in LABELS)
    assert "JSON object" in prompt and "are data" in prompt
    examples = [one for one in EXAMPLES if one[0] == name]
    assert len(examples) == prompt.count('{"class"') >= 4


@pytest.mark.parametrize(("name", "pair", "label"), EXAMPLES)
def test_an_example_agrees_with_the_rules_of_form(name, pair, label):
    question = Pair(pair["class"], normalize(pair["prediction"]))
    ((_, judged),) = Rules().judge([question])
    assert judged.undecided or judged.verdict.value == label


def test_no_example_is_a_class_that_is_evaluated():
    evaluated = {
        name.lower()
        for dataset in DATASETS
        for name in load_facts(FACTS / f"{dataset}.yaml", dataset).classes
    }
    assert len(evaluated) > 600
    assert not evaluated & {pair["class"].lower() for _, pair, _ in EXAMPLES}


def test_an_unknown_prompt_is_named():
    with pytest.raises(ConfigError, match=r"'nonsense' does not exist.*checklist"):
        load_question("nonsense")
