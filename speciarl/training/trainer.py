"""TRL's GRPO trainer with what it lacks: groups that teach nothing are drawn again or left out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from trl import GRPOTrainer
from trl.data_utils import prepare_multimodal_messages

from speciarl.training.memory import parts_of
from speciarl.training.reward_function import SpecificityReward


@dataclass(frozen=True)
class Rollouts:
    """Completions with their rewards, before TRL makes tensors of them."""

    rows: list[dict]
    """Of the schedule, one per completion of this process."""
    generated: tuple
    """As TRL's `_generate` returns it; its lists have one entry per completion."""
    rewards: torch.Tensor
    """Of all processes: (processes, groups, rollouts of a group), NaN where a verdict failed."""

    def put(self, place: int, fresh: "Rollouts", by: int) -> None:
        """Put a group of `fresh`, by its number in this process, in the place of another."""
        size = self.rewards.shape[-1]
        here, there = ((one.rows, *one.generated) for one in (self, fresh))
        for kept, new in zip(here, there, strict=True):
            if isinstance(kept, list):
                kept[place * size : (place + 1) * size] = new[by * size : (by + 1) * size]


def teaches(rewards: torch.Tensor) -> torch.Tensor:
    """Whether a group, the last dimension, has rewards that differ; never where one is NaN."""
    return rewards.amax(-1) > rewards.amin(-1)


def replacements(kept: Sequence[bool], fresh: Sequence[bool]) -> list[tuple[int, int]]:
    """Which group gives its place to which fresh one, by whether they teach."""
    places = [place for place, taught in enumerate(kept) if not taught]
    return list(zip(places, [n for n, taught in enumerate(fresh) if taught], strict=False))


class GroupTrainer(GRPOTrainer):
    """GRPO with dynamic sampling (DAPO, arXiv 2503.14476), and without groups that failed.

    TRL (1.16) has no dynamic sampling (trl#3708), and of a group without rewards it clears the
    advantages but keeps the tokens in the divergence and in the loss's normalizer.

    Completions are rewarded, and drawn again, before TRL computes log-probabilities of them. Every
    process decides by the rewards of all, so that all draw equally often and equally many.

    Args:
        more_rows: gives that many rows from that number on of a schedule that does not end.
        next_row: the first row that no group was drawn for, beyond those that TRL shows itself.
        tries: how often groups that teach nothing are drawn again in a step, at most.
        generation_tokens: most tokens, prompts and completions, that transformers generates
            together; one sequence always is. None cuts nothing.
    """

    def __init__(
        self,
        *,
        more_rows: Callable[[int, int], Iterable[dict]],
        next_row: int,
        tries: int,
        bridge: SpecificityReward,
        generation_tokens: int | None = None,
        **given,
    ) -> None:
        super().__init__(reward_funcs=bridge, **given)
        self.bridge = bridge
        self.generation_tokens = generation_tokens
        self.more_rows = more_rows
        self.next_row = next_row
        self.tries = tries
        self.process: int = self.accelerator.process_index
        self._rollouts: Rollouts | None = None

    def _generate_and_score_completions(self, inputs):
        rollouts = self._roll_out(inputs)
        drawn = [self._refill(rollouts) for _ in range(self.tries)]
        self.bridge.note_groups(
            refills=sum(groups > 0 for groups in drawn),
            dropped_groups=sum(drawn),
            equal_groups=int((rollouts.rewards.amax(-1) == rollouts.rewards.amin(-1)).sum()),
            failed_groups=int(rollouts.rewards.isnan().any(-1).sum()),
        )
        self._rollouts = rollouts  # from here on TRL is given what has been drawn
        output = super()._generate_and_score_completions(rollouts.rows)
        self._rollouts = None
        return self._without_failed(output, rollouts.rewards)

    def _generate(self, prompts):
        return self._rollouts.generated if self._rollouts else super()._generate(prompts)

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields, num_generations, *more):
        generate = super()._generate_single_turn
        if self.generation_tokens is None or self.use_vllm:
            return generate(prompt_ids, images, multimodal_fields, num_generations, *more)
        # Of all processes, since all must generate equally often where they share the weights.
        longest = torch.tensor(max(map(len, prompt_ids)), device=self.accelerator.device)
        tokens = int(self.accelerator.gather(longest).max()) + (self.max_completion_length or 0)
        size = max(1, self.generation_tokens // tokens)
        completions: list[list[int]] = []
        for part, fields in parts_of(multimodal_fields, len(prompt_ids), size):
            shown = images and images[part]
            ids, _ = generate(prompt_ids[part], shown, fields, num_generations, *more)
            completions += ids
        return completions, None

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        if self._rollouts:
            return self._rollouts.rewards.view(-1, 1)
        return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)

    def _roll_out(self, rows: list[dict]) -> Rollouts:
        prompts = [prepare_multimodal_messages(row["prompt"], [row["image"]]) for row in rows]
        generated = self._generate(prompts)
        rewards = self._calculate_rewards(rows, prompts, generated[3], generated[1])
        shape = (self.accelerator.num_processes, -1, self.num_generations)
        return Rollouts(list(rows), generated, rewards.view(shape))

    def _refill(self, rollouts: Rollouts) -> int:
        """Replace groups that teach nothing by fresh ones that do; how many were drawn."""
        kept = teaches(rollouts.rewards)
        most = int((~kept).sum(1).max())  # as many for each process, or what they gather differs
        if not most:
            return 0
        processes, _, size = rollouts.rewards.shape
        shown = self.more_rows(self.next_row + most * self.process, most)
        self.next_row += most * processes
        fresh = self._roll_out([row for row in shown for _ in range(size)])
        taught = teaches(fresh.rewards)
        for process in range(processes):
            for place, by in replacements(kept[process].tolist(), taught[process].tolist()):
                rollouts.rewards[process, place] = fresh.rewards[process, by]
                if process == self.process:
                    rollouts.put(place, fresh, by)
        return most * processes

    def _without_failed(self, output: dict, rewards: torch.Tensor) -> dict:
        """Take the tokens of groups without rewards out of the loss and of its normalizer."""
        failed = rewards.isnan()
        if not failed.any():
            return output
        judged = ~failed[self.process].reshape(-1, 1)
        # TRL multiplies this mask into the loss, and leaves attention as it is
        output["tool_mask"] = judged.long().expand_as(output["completion_mask"])
        tokens = (output["completion_mask"] * output["tool_mask"]).sum()
        output["num_items_in_batch"] = self.accelerator.gather(tokens).sum()
        return output
