"""The tree of the report: each image once, a kind below the narrowest that has all its classes."""

import polars as pl

from speciarl.report.tree import Node, trees
from tests.report_input import STOPS

RUNS = ["zero_shot", "speciarl"]


def test_kinds_hold_one_another_by_their_classes_and_what_is_nowhere_comes_last():
    tree = trees(STOPS, RUNS)["cub200"]
    assert tree.roots == [
        Node("bird", (0.2, 0.0), [
            Node("gull", (0.3, 0.1), [
                Node("Herring Gull", (0.0, 0.4), [Node("American", (0.0, 0.1), [])]),
            ]),
            Node("Artic Tern", (0.0, 0.2), []),  # nothing stops at a tern or at a seabird
        ]),
    ]  # fmt: skip
    assert tree.elsewhere == [
        Node("unparsable", (0.4, 0.0), []), Node("wrong", (0.0, 0.2), []),
        Node("failed", (0.1, 0.0), []),
    ]  # fmt: skip


def test_each_image_is_once_in_the_tree_whichever_runs_are_shown():
    for runs in (RUNS, ["sft"], ["speciarl", "absent"]):
        tree = trees(STOPS, runs)["cub200"]
        shown = [node.total for node in (*tree.roots, *tree.elsewhere)]
        present = STOPS.filter(pl.col("run").is_in(runs))["run"].n_unique()
        assert abs(sum(shown) - present) < 1e-9
