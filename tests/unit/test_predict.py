import importlib.util
import shutil
from dataclasses import replace
from functools import partial

import polars as pl
import pytest
from PIL import Image

from speciarl.config import Evaluation, Run
from speciarl.datasets.images import BadImage
from speciarl.errors import ConfigError, DataError
from speciarl.evaluation import predict as stage
from speciarl.evaluation.parts import DONE, Prediction, gather
from speciarl.evaluation.predict import open_policies, predict_parts, sample_seed
from speciarl.evaluation.transformers_engine import opened
from speciarl.evaluation.vllm_engine import conversation
from speciarl.policy.chat import load_prompt

IMAGES = {"birds": "abcdefg", "planes": "hij"}


class Killed(BaseException):
    """What no handler takes for an error."""


class Policy:
    """Says what color it sees and by what seed it draws; may be killed after some batches."""

    def __init__(self):
        self.asked, self.kill_after = [], None

    def __call__(self, run, batches, prompt, decoding):
        for batch in batches:
            if self.kill_after is not None and len(self.asked) == self.kill_after:
                raise Killed
            self.asked.append((run.name, len(batch), prompt, decoding))
            seen = [(opened(shown), shown.seed) for shown in batch]
            yield [
                one if isinstance(one, BadImage) else ["?"] + [
                    f"<answer>{chr(one.getpixel((0, 0))[0])} {seed} {i}</answer>"
                    for i in range(1, decoding.rollouts)
                ]
                for one, seed in seen
            ]  # fmt: skip


@pytest.fixture
def policy(monkeypatch):
    policy = Policy()
    monkeypatch.setattr(
        stage,
        "open_policies",
        lambda settings, base, runs, work: (partial(policy, r) for r in runs),
    )
    return policy


@pytest.fixture
def made(tmp_path):
    """A prediction of two datasets by two seeds, two images in a part."""
    folder = tmp_path / "images"
    folder.mkdir()
    manifests = []
    for dataset, names in IMAGES.items():
        for name in names:
            Image.new("RGB", (4, 4), (ord(name), 0, 0)).save(folder / f"{name}.png")
        samples = pl.DataFrame(
            {
                "sample_id": [*reversed(names), "t", "v"],
                "dataset": dataset,
                "class_name": "Gull",
                "image": [f"images/{name}.png" for name in (*reversed(names), "t", "v")],
                "split": ["test"] * len(names) + ["train", "val"],
            }
        )
        manifests.append(tmp_path / f"{dataset}.parquet")
        samples.write_parquet(manifests[-1])
    for name in ("base", "trained/42", "trained/43"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "weights").write_text(name)
    return Prediction(
        tmp_path / "base", tmp_path / "trained", manifests,
        Run(prompt="be_specific", best_of=2, seeds=[42, 43]),
        Evaluation(batch_size=5, max_failures=1.0), tmp_path / "work",
    )  # fmt: skip


def run(prediction, into):
    """Shard by shard, as its jobs do."""
    for number in range(1, prediction.settings.shards + 1):
        predict_parts(prediction, prediction.shard(number), prediction.base.parent, threads=1)
    gather(prediction, into)
    return {
        str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()
    }


def sharded(prediction, shards, **settings):
    changed = prediction.settings.model_copy(update={"shards": shards, **settings})
    return replace(prediction, settings=changed)


def test_every_test_image_has_a_row_by_rollout_and_seed(made, policy, tmp_path):
    files = run(made, tmp_path / "into")
    assert sorted(files) == [
        "42/birds.parquet", "42/planes.parquet", "43/birds.parquet", "43/planes.parquet",
        "digest.json",
    ]  # fmt: skip
    for seed in (42, 43):
        rows = pl.read_parquet(tmp_path / f"into/{seed}/birds.parquet")
        assert dict(rows.schema) == stage.SCHEMA
        assert rows["sample_id"].to_list() == [name for name in "abcdefg" for _ in range(2)]
        assert rows["rollout"].to_list() == [0, 1] * 7
        assert rows["prediction"][::2].null_count() == 7 == rows["completion"].to_list().count("?")
        assert [text.split()[0] for text in rows["prediction"][1::2]] == list("abcdefg")
        assert set(rows["seed"]) == {seed} and set(rows["class_name"]) == {"Gull"}
    sizes = [(name, size) for name, size, _, _ in policy.asked]
    assert sizes == [(seed, n) for seed in ("42", "43") for n in (2, 2, 2, 1, 2, 1)]
    assert {asked[2:] for asked in policy.asked} == {
        ("be_specific", stage.decoding_of(made.run, made.settings))
    }
    assert {path.name.split("-")[0] for path in made.work.iterdir()} == {"birds", "planes"}


def test_with_one_more_dataset_or_other_shards_only_what_is_new_is_asked(made, policy, tmp_path):
    birds = replace(made, manifests=made.manifests[:1])
    run(birds, tmp_path / "birds")
    policy.asked.clear()
    both = run(sharded(made, 3), tmp_path / "both")
    assert sorted(size for _, size, _, _ in policy.asked) == [1, 1, 2, 2], "planes, by two seeds"
    policy.asked.clear()
    assert run(sharded(made, 2), tmp_path / "again") == both
    assert policy.asked == []
    shutil.rmtree(made.work)
    assert run(made, tmp_path / "anew") == both
    planes = replace(made, manifests=made.manifests[1:])
    run(planes, tmp_path / "planes")
    assert {path.name.split("-")[0] for path in made.work.iterdir()} == {"planes"}


@pytest.mark.parametrize("bad", ["", "a", "cd", "g", "hij", "abcdefghij"])
def test_the_bytes_do_not_depend_on_the_number_of_shards(bad, made, policy, tmp_path):
    for name in bad:
        (tmp_path / f"images/{name}.png").write_bytes(b"")
    each = [replace(made, work=tmp_path / f"work-{n}") for n in (1, 2, 5, 40)]
    one, *others = [
        run(sharded(own, n, tensor_parallel=n), tmp_path / f"into-{n}")
        for own, n in zip(each, (1, 2, 5, 40), strict=True)
    ]
    assert len(policy.asked) == 4 * 12
    assert all(other == one for other in others)


def test_a_killed_shard_keeps_its_finished_parts_and_goes_on_in_any_number(made, policy, tmp_path):
    expected = run(made, tmp_path / "whole")
    asked = len(policy.asked)
    for kill_after in range(asked):
        for shards in (1, 2, 5):
            shutil.rmtree(made.work)
            policy.asked.clear()
            policy.kill_after = kill_after
            with pytest.raises(Killed):
                run(made, tmp_path / "into")
            policy.kill_after = None
            assert run(sharded(made, shards), tmp_path / "into") == expected
            assert len(policy.asked) == asked


def test_samples_are_seeded_by_what_they_are_of(made, policy, tmp_path):
    seeds = {
        (part.seed, part.dataset, name): sample_seed(part, name)
        for part in made.parts() for name in part.samples["sample_id"]
    }  # fmt: skip
    assert len(set(seeds.values())) == len(seeds) == 20
    other = replace(made, settings=made.settings.model_copy(update={"batch_size": 64}))
    assert seeds == {
        (part.seed, part.dataset, name): sample_seed(part, name)
        for part in other.parts() for name in part.samples["sample_id"]
    }  # fmt: skip
    assert all(0 <= seed < 2**62 for seed in seeds.values())
    run(made, tmp_path / "into")
    rows = pl.read_parquet(tmp_path / "into/43/planes.parquet").filter(rollout=1)
    drawn = [int(text.split()[1]) for text in rows["prediction"]]
    assert drawn == [seeds[43, "planes", name] for name in "hij"]


@pytest.mark.parametrize(
    "change",
    [
        lambda made: replace(made, run=made.run.model_copy(update={"prompt": "plain"})),
        lambda made: replace(made, settings=made.settings.model_copy(update={"top_p": 0.1})),
        lambda made: made.base.joinpath("weights").write_text("other") and made,
        lambda made: made.trained.joinpath("42/weights").write_text("other") and made,
        lambda made: made.manifests[0].write_bytes(made.manifests[1].read_bytes()) and made,
        lambda made: replace(made, code={"speciarl/": "speciarl/ 0123"}),
        lambda made: replace(made, archives={"birds": made.base / "weights"}),
    ],
)
def test_parts_of_anything_else_are_not_taken_up(change, made):
    before = {part.path for part in made.parts()}
    after = {part.path for part in change(made).parts()}
    assert before - after
    kept = {part.path for part in sharded(made, 3, max_failures=0.5, tensor_parallel=2).parts()}
    assert kept == after or before == kept


@pytest.mark.parametrize("lost", [0, 7, 11])
def test_a_missing_part_is_named_by_its_shard_and_made_by_the_next_start(
    lost, made, policy, tmp_path
):
    expected = run(made, tmp_path / "whole")
    shutil.rmtree(made.work)
    five = sharded(made, 5)
    for number in range(1, 6):
        predict_parts(five, five.shard(number), tmp_path, threads=1)
        (five.work / f"{number}{DONE}").touch()
    five.parts()[lost].path.unlink()
    with pytest.raises(DataError) as refused:
        gather(five, tmp_path / "into")
    assert str(refused.value) == (
        f"{five.work} lacks 1 of 12 parts, of shard {lost % 5 + 1} of 5: start again, finished "
        "parts are kept"
    )
    assert not (tmp_path / "into").exists() and not list(five.work.glob(f"*{DONE}"))
    policy.asked.clear()
    assert run(five, tmp_path / "into") == expected
    assert len(policy.asked) == 1


def test_a_dataset_without_test_images_is_named(made):
    pl.read_parquet(made.manifests[1]).filter(split="val").write_parquet(made.manifests[1])
    with pytest.raises(DataError, match=r"planes\.parquet has no test image"):
        made.parts()


def damage(tmp_path, names):
    for name in names:
        Image.new("RGB", (1, 300)).save(tmp_path / f"images/{name}.png")


def test_an_image_that_does_not_open_is_a_row_with_its_error(made, policy, tmp_path):
    damage(tmp_path, "be")
    run(made, tmp_path / "into")
    rows = pl.read_parquet(tmp_path / "into/42/birds.parquet")
    assert rows.height == 14
    for name, completion, error in rows.select("sample_id", "completion", "error").iter_rows():
        if name in "be":
            assert completion is None
            assert error.startswith(f"images/{name}.png: too thin (1 x 300 pixels")
        else:
            assert completion and error is None


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_too_many_of_them_stop_the_run_and_are_named(shards, made, policy, tmp_path, caplog):
    damage(tmp_path, "adf")
    few = sharded(made, shards, max_failures=3 / 7)
    run(few, tmp_path / "into")
    assert sorted(text.split("/")[1][0] for text in caplog.messages) == list("aaddff")
    with pytest.raises(DataError) as stopped:
        run(sharded(made, shards, max_failures=2 / 7), tmp_path / "other")
    line = str(stopped.value)
    assert line.startswith(
        "3 of 7 images of birds cannot be shown, more than evaluation.max_failures"
    )
    assert all(f"{name}.png: too thin" in line for name in "adf") and "\n" not in line
    assert not (tmp_path / "other").exists()


def test_what_is_too_many_stops_before_the_rest_is_asked(made, policy, tmp_path):
    damage(tmp_path, "abc")
    with pytest.raises(DataError, match="3 of 7"):
        run(sharded(made, 1, max_failures=2 / 7), tmp_path / "into")
    assert len(policy.asked) == 2


@pytest.mark.parametrize("shards", [1, 3])
def test_an_image_put_back_is_predicted_by_the_next_start(shards, made, policy, tmp_path):
    expected = run(made, tmp_path / "whole")
    shutil.rmtree(made.work)
    good = (tmp_path / "images/e.png").read_bytes()
    damage(tmp_path, "e")
    strict = sharded(made, shards, max_failures=0.0)
    for number in range(1, shards + 1):
        predict_parts(sharded(made, shards), strict.shard(number), tmp_path, threads=1)
        (made.work / f"{number}{DONE}").touch()
    with pytest.raises(DataError, match=r"1 of 7 images of birds cannot be shown.*e\.png"):
        gather(strict, tmp_path / "into")
    assert not list(made.work.glob(f"*{DONE}"))  # so that its shard starts again
    (tmp_path / "images/e.png").write_bytes(good)
    policy.asked.clear()
    assert run(strict, tmp_path / "into") == expected
    assert len(policy.asked) == 2  # the part with the image, by each seed


def test_an_engine_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"evaluation\.engine .* not installed") as refused:
        list(open_policies(Evaluation(engine="vllm"), tmp_path, [tmp_path], tmp_path / "work"))
    assert "\n" not in str(refused.value)


def test_a_image_comes_before_its_question():
    image = Image.new("RGB", (4, 4))
    (turn,) = conversation(image, "plain")
    assert turn["role"] == "user"
    assert turn["content"] == [
        {"type": "image_pil", "image_pil": image},
        {"type": "text", "text": load_prompt("plain")},
    ]
