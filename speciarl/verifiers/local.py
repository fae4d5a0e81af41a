"""A language model in this process as a judge: the label that it finds likeliest is the verdict.

For machines with a small model of their own. The score of a label is the log-likelihood of all its
tokens and the end of the turn after it, given the same chat as the server's judge: the probability
that the model would reply just that. It is not divided by the length, which would favor long
labels whose later tokens follow from their first.
"""

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, product, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from speciarl.config.verifiers import DirectoryModel
from speciarl.errors import VerifierError
from speciarl.files import content_hash
from speciarl.verdicts import Failure, FailureKind, Judgment, Pair
from speciarl.verifiers.chat import identity_of_question, load_question, messages

if TYPE_CHECKING:
    import torch


class LocalJudge:
    """Never leaves a pair undecided. Runs on the GPU where there is one.

    Raises:
        VerifierError: the directory of the settings holds no model.
    """

    def __init__(self, settings: DirectoryModel) -> None:
        self.settings = settings
        self.directory = Path(settings.path)
        if not (self.directory / "config.json").is_file():
            raise VerifierError(
                f"{settings.path} holds no model: put a causal language model with its tokenizer "
                "there, or mend model.path"
            )
        self._question = load_question(settings.prompt)

    @cached_property
    def identity(self) -> Mapping[str, object]:
        return {
            "verifier": "local",
            "model": content_hash(sorted(self.directory.iterdir())),
            "dtype": self.settings.dtype,
            **identity_of_question(self._question),
            "scores": content_hash([Path(__file__)]),
        }

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgment]]:
        """Batches of similar length; the part of the chat that all pairs share is read once."""
        if not pairs:
            return
        chats = sorted((self._chat(pair), pair) for pair in pairs)
        shared = shared_prefix(chats[0][0], chats[-1][0])  # the first and last share the least
        past = self._read(shared)
        waiting = iter(sorted(chats, key=lambda chat: len(chat[0])))
        while batch := list(islice(waiting, self.settings.batch_size)):
            started = time.perf_counter()
            scores = self.scores([tokens[len(shared) :] for tokens, _ in batch], past)
            milliseconds = 1000 * (time.perf_counter() - started) / len(batch)
            for (_, pair), of_labels in zip(batch, scores.tolist(), strict=True):
                yield pair, self._judgment(of_labels, milliseconds)

    def scores(self, chats: Sequence[Sequence[int]], past) -> "torch.Tensor":
        """Log-likelihood of each label after each chat.

        Args:
            chats: tokens that follow on those of `past`, at least one per chat.
            past: what `_read` gave for the tokens before them.

        Returns:
            chats x labels, in the order of the question's.
        """
        import torch

        model, _ = self._loaded
        rows = [[*chat, *label] for chat, label in product(chats, self._labels)]
        width = max(map(len, rows))
        # Padding stands behind and no token looks ahead, so that it needs no mask.
        tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
        past = copy.deepcopy(past)
        if past is not None:
            past.batch_repeat_interleave(len(rows))
        kept = width - min(map(len, chats)) + 1  # from the last token before a label on
        with torch.inference_mode():
            logits = model(tokens, past_key_values=past, logits_to_keep=kept).logits
        likelihoods = logits.float().log_softmax(-1)
        sums = []
        for i, (chat, label) in enumerate(product(chats, self._labels)):
            first = len(chat) - 1 - (width - kept)
            places = torch.arange(first, first + len(label))
            sums.append(likelihoods[i, places, torch.tensor(label)].sum())
        return torch.stack(sums).view(len(chats), len(self._labels))

    def _read(self, tokens: Sequence[int]):
        """Keys and values of tokens that many rows begin with; None for no tokens."""
        import torch

        if not tokens:
            return None
        model, _ = self._loaded
        ids = torch.tensor([tokens], device=model.device)
        with torch.inference_mode():
            return model(ids, use_cache=True, logits_to_keep=1).past_key_values

    def _chat(self, pair: Pair) -> list[int]:
        _, tokenizer = self._loaded
        return tokenizer.apply_chat_template(
            messages(self._question.prompt, pair),
            add_generation_prompt=True,
            enable_thinking=False,
            return_dict=False,
        )

    @cached_property
    def _labels(self) -> list[list[int]]:
        _, tokenizer = self._loaded
        encoded = (
            tokenizer.encode(label, add_special_tokens=False) for label in self._question.replies
        )
        return [[*tokens, tokenizer.eos_token_id] for tokens in encoded]

    @cached_property
    def _loaded(self):
        """Model and tokenizer, once the first pair needs them."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(
            self.directory, dtype=self.settings.dtype, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(self.directory, local_files_only=True)
        if tokenizer.chat_template is None or tokenizer.eos_token is None:
            raise VerifierError(
                f"{self.directory}: its tokenizer has no chat template or no end of turn, "
                "expected an instruction-tuned model"
            )
        return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer

    def _judgment(self, scores: Sequence[float], milliseconds: float) -> Judgment:
        if not all(map(math.isfinite, scores)):
            failure = Failure(FailureKind.INVALID, f"the model's scores are no numbers: {scores}")
            return Judgment(None, failure=failure, milliseconds=milliseconds)
        likeliest = list(self._question.replies.values())[scores.index(max(scores))]
        return Judgment(likeliest, "local", milliseconds=milliseconds)


def shared_prefix(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Tokens with which both begin, less the last of either: each keeps one to go on from."""
    pairs = zip(first[:-1], second[:-1], strict=False)
    return [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
