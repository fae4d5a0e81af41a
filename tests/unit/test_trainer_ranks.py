"""Dynamic sampling under two real processes: each refills its own groups, as often as the other."""

import json

from tests.ranks import run_two

SCRIPT = """
import hashlib, json, sys
from pathlib import Path

import torch

torch.set_num_threads(1)
from tests.unit.test_trainer import Bridge, adapters, batch, build

same, failed, good = [1, 1], [None, None], [0, 1]
table = {0: good, 1: same, 2: same, 3: failed,
         8: same, 9: good, 10: good, 11: same, 12: good, 13: good}
bridge = Bridge(table)
trainer = build(Path(sys.argv[1]), bridge, tries=5, processes=2, learning_rate=0.05)
rank = trainer.accelerator.process_index
output = trainer._generate_and_score_completions(batch(2, 2 * rank))
said = [ids for row in ([0, 9], [10, 13])[rank] for ids in bridge.said[row]]
masks = output["completion_mask"].bool()
report = {
    "calls": bridge.calls,
    "noted": bridge.noted,
    "next_row": trainer.next_row,
    "moved": [value != 0 for value in output["advantages"].tolist()],
    "as said": said == [i[m].tolist() for i, m in zip(output["completion_ids"], masks)],
}
trainer.tries = 0  # a failed group stays, on the first process only
bridge.table = {4: failed}
kept = trainer._generate_and_score_completions(batch(2, 4 + 2 * rank))
report["left out"] = (1 - kept["tool_mask"][:, 0]).tolist()
report["own tokens"] = int((kept["completion_mask"] * kept["tool_mask"]).sum())
report["all tokens"] = int(kept["num_items_in_batch"])

def learned():
    values = [value.numpy().tobytes() for value in adapters(trainer).values()]
    return hashlib.sha256(b"".join(values)).hexdigest()

before = learned()
trainer.tries, bridge.table = 5, {}
trainer.train()
report["learned"] = learned()
report["changed"] = report["learned"] != before
report["trained"] = [row["step"] for row in bridge.rows]
report["refills"] = [noted["refills"] for noted in bridge.noted]
report["end"] = trainer.next_row
Path(sys.argv[1], f"{rank}.json").write_text(json.dumps(report))
torch.distributed.destroy_process_group()
"""


def test_two_processes_refill_alike(tmp_path):
    run_two(SCRIPT, tmp_path, timeout=240)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    # two groups are missing on the second process, so two are drawn on both; then one on both
    assert first["calls"][:3] == [[0, 1], [8, 9], [12]]
    assert second["calls"][:3] == [[2, 3], [10, 11], [13]]
    for report in (first, second):
        assert report["moved"] == [True] * 4 and report["as said"]
        assert report["noted"][0] == {
            "refills": 2, "dropped_groups": 6, "equal_groups": 0, "failed_groups": 0,
        }  # fmt: skip
        assert report["next_row"] == 14
        assert report["changed"] and report["trained"] == [0, 1]
    for same in ("noted", "learned", "refills", "end", "all tokens"):
        assert first[same] == second[same], same
    assert (first["left out"], second["left out"]) == ([1, 1, 0, 0], [0] * 4)
    assert first["own tokens"] + second["own tokens"] == first["all tokens"]
