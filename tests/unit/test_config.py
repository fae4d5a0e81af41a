import copy
from pathlib import Path

import pytest
import yaml

from speciarl.config import Params, Run, parse
from speciarl.errors import ConfigError

FILE = Path(__file__).parents[2] / "params.yaml"
VALUES = yaml.safe_load(FILE.read_text())


def changed(**paths):
    values = copy.deepcopy(VALUES)
    for path, value in paths.items():
        *parents, last = path.split("__")
        section = values
        for name in parents:
            section = section[name]
        section[last] = value
    return values


def test_the_file_is_valid_and_states_every_default():
    params = parse(VALUES)
    defaults = {name: field.default for name, field in Params.model_fields.items() if field.default}
    for name, default in defaults.items():
        if hasattr(default, "model_dump"):
            assert VALUES[name] == default.model_dump(), name
    assert params.runs["be_specific"] == Run(prompt="be_specific")


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (changed(nonsense=1), "nonsense"),
        (changed(grpo__nonsense=1), "grpo.nonsense"),
        (changed(runs__rft__rollouts=-1), "runs.rft.rollouts"),
        (changed(runs__rft__reward="golden"), "runs.rft.reward"),
        (changed(runs__rft__training_set="cats"), "runs.rft.training_set"),
        (changed(runs__rft="x"), "runs.rft"),
        (changed(datasets__splits__birds="official"), "datasets.splits.birds"),
        (changed(datasets__splits__cub200="random"), "datasets.splits.cub200"),
        (changed(training_sets__cub200__datasets=["birds"]), "training_sets.cub200.datasets"),
        (changed(groups__in_between=["cub200"]), "groups"),
        (changed(miniature__undecidable=1.5), "miniature.undecidable"),
        (changed(miniature__image_size=50), "miniature.image_size"),
        (changed(grpo__learning_rate="fast"), "grpo.learning_rate"),
        (changed(policy__path="models/mine"), "policy"),
        (changed(runs__base={}), "runs.base"),
        (changed(**{"runs__my run": {}}), "my run"),
        ({k: v for k, v in VALUES.items() if k != "runs"}, "runs"),
    ],
)
def test_refused_in_one_line_that_names_the_key(values, key):
    with pytest.raises(ConfigError) as refused:
        parse(values)
    assert key in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250
