"""Parameters as dvc.lock has them."""

import copy
from pathlib import Path

import yaml

from speciarl.adopt import recorded_params

LOCK = yaml.safe_load((Path(__file__).parents[2] / "dvc.lock").read_text())["stages"]


def test_the_parameters_of_all_stages_are_put_together():
    def stage(**params):
        return {"params": {"params.yaml": {k.replace("__", "."): v for k, v in params.items()}}}

    whole = {"splits": {"a": "official"}, "mirror": "miniature"}
    stages = {
        "download@a": stage(datasets__mirror="miniature"),
        "manifest@a": stage(datasets__splits__a="official"),
        "build_taxonomy": {},
        "report": stage(datasets=whole, grpo={"kl": 0.1}),
        "train@x": stage(runs__x={"method": "sft"}),
    }
    before = copy.deepcopy(stages)
    expected = {"datasets": whole, "grpo": {"kl": 0.1}, "runs": {"x": {"method": "sft"}}}
    assert recorded_params(stages) == expected
    assert recorded_params(dict(reversed(stages.items()))) == expected
    assert stages == before


def test_the_committed_record_knows_every_section():
    found = recorded_params(LOCK)
    report = LOCK["report"]["params"]["params.yaml"]
    assert {section: found[section] for section in report} == report
