import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from speciarl.config import Params, Run, check_paths, load, parse
from speciarl.config.starting import check_config_files, check_start
from speciarl.errors import ConfigError
from tests.presets import BEFORE, FOLDER, NAMES, ROOT, files_of

FILE = ROOT / "params.yaml"
VALUES = yaml.safe_load(FILE.read_text())


MODEL = {"kind": "server", "name": "judge", "revision": "1"}
DIRECTORY = {"source": "directory", "path": "nowhere"}
SERVER = {"base_url": "http://127.0.0.1:8000/v1"}


def judged(**parts):
    return {"backend": "llm", "model": MODEL, "server": SERVER, **parts}


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


def test_the_paper_has_one_judge_for_training_and_another_for_evaluation():
    params = load(files_of("judge-vllm"))
    assert (params.verifier.backend, params.judge.backend) == ("cascade", "llm")
    assert not params.verifier.model.thinking
    assert params.verifier.model.name.startswith("Qwen/Qwen3-30B-A3B-Instruct-2507")
    assert params.judge.model.name == "meta-llama/Meta-Llama-3-70B-Instruct"
    assert params.verifier.server.base_url != params.judge.server.base_url


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_url", "http://me:secret@host/v1"),
        ("base_url", "http://host/v1?key=secret"),
        ("base_url", "http://host:secret/v1"),
        ("api_key_env", "sk-secret"),
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(key, value):
    with pytest.raises(ConfigError) as refused:
        parse(changed(judge=judged(server={**SERVER, key: value})))
    assert f"judge.server.{key}" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (changed(nonsense=1), "nonsense"),
        (changed(grpo__nonsense=1), "grpo.nonsense"),
        (changed(runs__rft__num_generations=-1), "runs.rft.num_generations"),
        (changed(runs__rft__reward="golden"), "runs.rft.reward"),
        (changed(runs__rft__prompt="checklist"), "runs.rft.prompt"),
        (changed(runs__rft__training_set="cats"), "runs.rft.training_set"),
        (changed(runs__rft="x"), "runs.rft"),
        (changed(datasets__splits__birds="official"), "datasets.splits.birds"),
        (changed(datasets__splits__cub200="random"), "datasets.splits.cub200"),
        (changed(training_sets__cub200__datasets=["birds"]), "training_sets.cub200.datasets"),
        (changed(groups__in_between=["cub200"]), "groups"),
        (changed(miniature__ambiguous_share=1.5), "miniature.ambiguous_share"),
        (changed(miniature__image_size=50), "miniature.image_size"),
        (changed(grpo__learning_rate="fast"), "grpo.learning_rate"),
        (changed(verifier__backend="oracle"), "verifier.backend"),
        (changed(verifier__backend="cascade"), "verifier: backend: cascade needs a model"),
        (changed(judge=judged(backend="taxonomy")), "judge: backend: taxonomy takes no model"),
        (changed(judge=judged(server=None)), "judge: server goes with"),
        (changed(judge=judged(model={"kind": "directory", "path": "x"})), "judge: server goes"),
        (changed(judge=judged(model={**MODEL, "prompt": "none"})), "judge.model.prompt"),
        (changed(judge=judged(model={**MODEL, "thinking": True})), "thinking needs max_tokens"),
        (changed(judge=judged(model={**MODEL, "path": "x"})), "judge.model.path"),
        (changed(judge=judged(model={"kind": "server", "name": "x"})), "judge.model.revision"),
        (changed(judge=judged(model={**MODEL, "kind": "oracle"})), "judge.model"),
        (changed(judge=judged(server={"base_url": "localhost:1"})), "judge.server.base_url"),
        (changed(judge=judged(server={"base_url": "http://h:99999/v1"})), "judge.server.base_url"),
        (changed(judge=judged(server={"base_url": "http://h:0/v1"})), "judge.server.base_url"),
        (changed(judge=judged(server={"base_url": "http://[::1/v1"})), "judge.server.base_url"),
        (changed(judge=judged(server={"base_url": "http://h/v1\n"})), "judge.server.base_url"),
        (changed(judge=judged(server={**SERVER, "concurrency": 0})), "judge.server.concurrency"),
        (changed(judge=judged(server={**SERVER, "api_key_env": "sk-1"})), "server.api_key_env"),
        (changed(policy__path="models/mine"), "policy"),
        (changed(runs__base={}), "runs.base"),
        (changed(**{"runs__my run": {}}), "my run"),
        ({k: v for k, v in VALUES.items() if k != "runs"}, "runs"),
        (changed(datasets__folders={"garden": {}}), "datasets.folders.garden.path"),
        (changed(datasets__folders={"pets": {"path": "p", "test_share": 1.0}}), "test_share"),
        (changed(datasets__folders={"cub200": {"path": "p"}}), "folders.cub200"),
        (changed(datasets__splits={}, groups={}), "at least one dataset"),
        (changed(training_sets__cub200__splits=["trainval"]), "training_sets.cub200.splits"),
        (
            changed(
                datasets__folders={"garden": {"path": "p", "test_share": 0.5}},
                training_sets__garden={"datasets": ["garden"], "splits": ["val"]},
            ),
            "training_sets.garden.splits: expected train, found val, which 'garden' does not have",
        ),
        (
            changed(datasets__folders={"pets": {"path": "p", "bad_images": "ignore"}}),
            "datasets.folders.pets.bad_images",
        ),
        (changed(grpo__learning_rate=float("inf")), "grpo.learning_rate"),
        (changed(grpo__beta=float("inf")), "grpo.beta"),
        (changed(miniature__ambiguous_share=float("nan")), "miniature.ambiguous_share"),
        (changed(miniature__seed=2**32), "miniature.seed"),
        (changed(runs__rft__seeds=[2**64]), "runs.rft.seeds.0"),
        (changed(runs__rft__seeds=[]), "runs.rft.seeds"),
        (changed(runs__rft__seeds=[1, 2, 1]), "runs.rft.seeds"),
        (changed(runs__rft__grpo={"stepz": 3}), "runs.rft.grpo.stepz"),
        (changed(runs__rft__lora={"rank": 0}), "runs.rft.lora.rank"),
        (changed(grpo__steps=10**30), "grpo.steps"),
        (changed(grpo__dynamic_sampling_tries=-1), "grpo.dynamic_sampling_tries"),
        (changed(grpo__overlong_buffer=0), "grpo.overlong_buffer"),
        (
            changed(grpo__overlong_buffer=25),
            "grpo: overlong_buffer: expected at most max_new_tokens, 24, found 25",
        ),
        (
            changed(runs__rft__grpo={"max_new_tokens": 8, "overlong_buffer": 9}),
            "runs.rft.grpo.overlong_buffer: expected at most max_new_tokens, 8, found 9",
        ),
        (changed(runs__rft__num_generations=10**30), "runs.rft.num_generations"),
        (changed(specificity__less_specific=0.1), "specificity"),
        (changed(specificity__more_specific=0.9), "specificity"),
        (changed(**{f"runs__{'r' * 101}": {}}), "runs: the name 'rrrrr"),
        (changed(**{f"groups__{'g' * 300}": []}), "groups: the name 'ggggg"),
        (changed(**{"groups__a\0b": []}), "groups: the name 'a\\x00b'"),
        (changed(**{"groups__\x1b[31mred": []}), "groups: the name '\\x1b[31mred'"),
        (changed(**{"groups__\ud800": []}), "groups: the name '\\ud800'"),
        (changed(judge=judged(model={**MODEL, "name": "a\x9bb"})), "judge.model.name"),
        (changed(datasets__folders={"pets": {"path": "a\nb"}}), "datasets.folders.pets.path"),
        (changed(policy__path="\udcff"), "policy.path"),
        (changed(datasets__offline_dir="a\u2028b"), "datasets.offline_dir"),
        (changed(runs={1: {}}), "runs: the key 1"),
    ],
)
def test_refused_in_one_line_that_names_the_key(values, key):
    with pytest.raises(ConfigError) as refused:
        parse(values)
    assert key in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250


def test_names_may_be_of_any_script_and_just_as_long_as_a_file_name_allows():
    names = {"g" * 100: ["cub200"], "Vögel 鳥 🐦": list(VALUES["datasets"]["splits"])[1:]}
    assert parse(changed(groups=names, runs={"r" * 100: {}})).groups == names


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"runs:\n  a: {}\n  b: {}\n  a: {best_of: 2}\n", "line 4: the key 'a' is there twice"),
        (b"runs: {a: {}, a: {}}\n", "line 1: the key 'a' is there twice"),
        (b"a: 1\n\na: 2\n", "line 3: the key 'a' is there twice"),
        (b"# \xc9tude\nruns: {}\n", "byte 2 is not UTF-8"),
        ("runs: {}".encode("utf-16"), "byte 0 is not UTF-8"),
        (b"a: " + b"[" * 3000 + b"]" * 3000, "nests too deeply"),
        (b"a: " + b"{b: " * 3000 + b"}" * 3000, "nests too deeply"),
        (b"a: &a [*a]", "too deep"),
        (b"a: [", "line 1"),
        (b"a: 'b", "line 1"),
        (b"a: \0", "special characters are not allowed"),
        (b"a: !!python/object:os.system {}", "line 1"),
        (b"? [1, 2]\n: 3\n", "line 1"),
        (b"a: 2026-13-45\n", "cannot be read"),
        (b"a: " + b"9" * 5000, "cannot be read"),
        (b"- a\n", "expected sections"),
        (b"", "expected sections"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, content, expected):
    path = tmp_path / "over.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        load([FILE, path])
    line = str(refused.value)
    assert expected in line and line.isprintable() and len(line) < 350
    assert line.startswith((str(path), "params:"))


def test_a_folder_or_nothing_is_no_file_of_parameters(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.yaml"):
        with pytest.raises(ConfigError, match=str(path)):
            load([path])


@pytest.mark.parametrize("preset", [name for name in NAMES if name not in BEFORE])
def test_a_preset_alone_says_that_params_come_first(preset):
    with pytest.raises(ConfigError, match=r"is missing: name params\.yaml first"):
        load([FOLDER / f"{preset}.yaml"])


def test_rows_alone_say_which_they_lack():
    with pytest.raises(ConfigError, match=r"^params: runs\.\w+\.like: '\w+' is not one of \["):
        load([FOLDER / "ablations.yaml"])
    with pytest.raises(ConfigError, match="training_set: 'cub200_small' is not one of"):
        load([FILE, FOLDER / "ablations.yaml"])


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (changed(policy=DIRECTORY, datasets__mixed_scale=True), "policy.path"),
        (changed(datasets__folders={"pets": {"path": "nowhere"}}), "datasets.folders.pets.path"),
        (
            changed(judge={"backend": "llm", "model": {"kind": "directory", "path": "nowhere"}}),
            "judge.model.path",
        ),
    ],
)
def test_a_folder_that_is_not_there_is_named_with_its_key(values, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = parse(values)
    with pytest.raises(ConfigError, match=f"{key}: there is no folder 'nowhere'"):
        check_paths(params, Path())
    (tmp_path / "nowhere").mkdir()
    check_paths(params, Path())


def test_a_start_without_processors_or_with_a_file_for_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_start(1)
    check_start(None)
    for cores in (0, -1):
        with pytest.raises(ConfigError, match=f"--cores {cores}: expected"):
            check_start(cores)
    (tmp_path / "results").write_text("")
    with pytest.raises(ConfigError, match="results is a file"):
        check_start(1)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["--configfile", str(FILE), "all"], "there is no file 'all': where it is a target"),
        (["--configfiles", str(FILE), "all", "-n"], "there is no file 'all'"),
        (["-n", "--configfile", str(FILE), "--config", "a=b", "--", "all"], None),
        (["--configfile", str(FILE), "--cores", "2", "all"], None),
        (["--cores", "2", "all"], None),
    ],
)
def test_a_target_among_the_files_of_parameters_is_named(command, line, capsys):
    if line is None:
        check_config_files(["snakemake", *command])
    else:
        with pytest.raises(SystemExit):
            check_config_files(["snakemake", *command])
        said = capsys.readouterr().err
        assert line in said and said.count("\n") == 1


def test_the_parameters_are_checked_without_the_policy_and_the_judges():
    above = {"speciarl.policy", "speciarl.verifiers"}
    code = f"import sys, speciarl.config; print({above} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_dataset_of_one_s_own_is_one_row():
    params = parse(changed(datasets__folders={"garden": {"path": "images/garden"}}))
    assert params.datasets.names[-1] == "garden"
    assert params.groups == VALUES["groups"] | {"custom datasets": ["garden"]}
    placed = VALUES["groups"] | {"fine-grained": [*VALUES["groups"]["fine-grained"], "garden"]}
    values = changed(datasets__folders={"garden": {"path": "images/garden"}}, groups=placed)
    assert parse(values).groups == placed


def test_a_custom_dataset_is_known_to_the_verifier_of_its_own_images_only():
    folders = {name: {"path": f"images/{name}"} for name in ("garden", "attic")}
    alone, datasets = parse(changed()).datasets, parse(changed(datasets__folders=folders)).datasets
    splits = [*datasets.splits]
    assert alone.judged_together == [splits]
    assert datasets.judged_together == [splits, ["garden"], ["attic"]]
    assert datasets.known_to(splits[:1]) == alone.known_to(splits) == splits
    assert datasets.known_to(["attic", splits[2]]) == [*splits, "attic"]
    own = VALUES["datasets"] | {"splits": {}, "folders": folders}
    chosen = {"groups": {}, "training_sets": {"cub200": {"datasets": ["garden"]}}}
    values = VALUES | {"datasets": own} | chosen
    assert parse(values).datasets.judged_together == [["garden"], ["attic"]]


@pytest.mark.parametrize("preset", NAMES)
def test_a_preset_goes_with_the_defaults(preset):
    assert load(files_of(preset)) != load([FILE])


def test_the_paper_s_data():
    params = load(files_of("paper"))
    assert params.datasets.mirror == "real"
    assert params.training_sets["cub200"].size == 3000
    sizes = {name: chosen.size for name, chosen in params.training_sets.items()}
    assert len(sizes) == 10
    assert [sizes.pop(f"cub200_{n}") for n in ("small", "medium", "large")] == [128, 1024, 2048]
    assert set(sizes.values()) == {3000}
    assert len(params.training_sets["mixed"].datasets) == 6


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [
        ("grpo", "generations", "steps"),
        ("grpo", "prompts_per_generation", "prompts_per_step"),
        ("grpo", "updates_per_generation", "updates_per_step"),
        ("grpo", "micro_batch", "per_device_batch_size"),
        ("sft", "micro_batch", "per_device_batch_size"),
        ("grpo", "kl", "beta"),
        ("grpo", "clip", "epsilon"),
        ("grpo", "clip_high", "epsilon_high"),
        ("grpo", "dual_clip", "delta"),
        ("grpo", "loss", "loss_type"),
        ("runs__rft", "rollouts", "num_generations"),
        ("policy", "knowing_steps", "pretrain_steps"),
        ("policy", "pictures_per_class", "images_per_class"),
        ("miniature", "undecidable", "ambiguous_share"),
    ],
)
def test_an_old_key_is_refused_with_the_new_one_named(section, old, new):
    with pytest.raises(ConfigError) as refused:
        parse(changed(**{f"{section}__{old}": 1}))
    key = f"{section.replace('__', '.')}.{old}"
    assert str(refused.value) == f"params: {key} is now called {new}: rename it"


def test_a_run_s_own_keys_are_put_over_the_section():
    over = {"runs": {"rft": {"grpo": {"steps": 7}}, "speciarl": {}}}
    params = load([FILE], over)
    assert params.section_of("rft", "grpo") == params.grpo.model_copy(update={"steps": 7})
    assert params.section_of("speciarl", "grpo") == params.grpo
    assert params.section_of("rft", "lora") == params.lora


def test_unseen_are_the_datasets_that_no_run_is_trained_on():
    params = load([FILE])
    assert params.unseen == [
        "flowers102", "food101", "oxford_pets", "stanford_cars", "fgvc_aircraft",
    ]  # fmt: skip
    untrained = load([FILE]).model_copy(update={"runs": {"a": params.runs["zero_shot"]}})
    assert untrained.unseen[0] == "cub200"


def test_a_row_without_values_drops_a_run_of_params_yaml():
    params = load([FILE], {"runs": {"sft": None, "best_of_64": None}})
    assert [*params.runs] == ["zero_shot", "be_specific", "rft", "speciarl"]
