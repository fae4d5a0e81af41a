"""The judge in this process, with a tiny model of random weights and a real tokenizer."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from speciarl.config.evaluation import InclusionDirectory
from speciarl.config.verifiers import DirectoryModel
from speciarl.errors import VerifierError
from speciarl.prompts import FOR_THE_JUDGES
from speciarl.verdicts import LABELS, FailureKind, Pair, fingerprint
from speciarl.verifiers.chat import messages
from speciarl.verifiers.factory import build_model
from speciarl.verifiers.local import LocalJudge, shared_prefix

TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PAIRS = [
    Pair(name, prediction)
    for name in ("Herring Gull", "Boeing 737-300")
    for prediction in ("gull", "a", "<|im_end|>", "something with many more words in it", "é")
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A Qwen2 of two layers with a byte-level BPE tokenizer, as a model directory."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(map(Path.read_text, FOR_THE_JUDGES.glob("*.txt")), trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(wrapped),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.5,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def judge_in(directory, **settings):
    return LocalJudge(DirectoryModel(kind="directory", path=str(directory), **settings))


def naive_scores(judge, pair):
    """Log-likelihood of each label, each from one pass over the whole text."""
    model, tokenizer = judge._loaded
    chat = tokenizer.apply_chat_template(
        messages(judge._question.prompt, pair), add_generation_prompt=True, tokenize=False
    )
    start = len(tokenizer.encode(chat))
    scores = []
    for label in LABELS:
        tokens = torch.tensor([tokenizer.encode(f"{chat}{label}<|im_end|>")])
        with torch.inference_mode():
            likelihoods = model(tokens).logits[0].log_softmax(-1)
        told = range(start, tokens.shape[1])
        scores.append(sum(likelihoods[i - 1, tokens[0, i]].item() for i in told))
    return scores


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_verdict_is_the_label_of_the_highest_likelihood(directory, batch_size):
    judge = judge_in(directory, batch_size=batch_size)
    judged = dict(judge.judge(PAIRS))
    assert set(judged) == set(PAIRS)
    for pair, one in judged.items():
        scores = naive_scores(judge, pair)
        assert one.verdict.value == LABELS[scores.index(max(scores))]
        assert one.decided_by == "local" and one.milliseconds > 0


def test_scores_are_those_of_the_whole_text_however_they_are_split(directory):
    judge = judge_in(directory)
    chats = [judge._chat(pair) for pair in PAIRS]
    expected = torch.tensor([naive_scores(judge, pair) for pair in PAIRS])
    shared = chats[0][:100]
    assert all(chat[:100] == shared for chat in chats)
    apart = judge.scores([chat[100:] for chat in chats], judge._read(shared))
    torch.testing.assert_close(apart, expected, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(judge.scores(chats, None), expected, atol=1e-3, rtol=1e-4)


def test_of_another_question_the_likeliest_of_its_own_labels_counts(directory):
    judge = LocalJudge(InclusionDirectory(kind="directory", path=str(directory)))
    scores = judge.scores([judge._chat(pair) for pair in PAIRS], None)
    assert scores.shape == (len(PAIRS), 2)
    included = dict(zip(PAIRS, (scores[:, 1] > scores[:, 0]).tolist(), strict=True))
    judged = dict(judge.judge(PAIRS))
    assert {pair: one.verdict.correct for pair, one in judged.items()} == included


def test_scores_that_are_no_numbers_are_a_failure_and_no_verdict(directory):
    judge = judge_in(directory)
    model, _ = judge._loaded
    torch.nn.init.constant_(model.lm_head.weight, float("nan"))
    judged = dict(judge.judge(PAIRS))
    assert all(one.verdict is None for one in judged.values())
    assert {one.failure.kind for one in judged.values()} == {FailureKind.INVALID}


def test_an_answer_cannot_spell_the_end_of_its_turn(directory):
    judge = judge_in(directory)
    _, tokenizer = judge._loaded
    ends = [judge._chat(pair).count(tokenizer.eos_token_id) for pair in PAIRS]
    assert ends == [2] * len(PAIRS)


def test_the_fingerprint_follows_the_content_of_the_directory(directory, tmp_path):
    copied = shutil.copytree(directory, tmp_path / "elsewhere")
    same = fingerprint(judge_in(directory).identity)
    assert fingerprint(judge_in(copied, batch_size=3).identity) == same
    assert fingerprint(judge_in(copied, prompt="checklist").identity) != same
    assert fingerprint(judge_in(copied, dtype="bfloat16").identity) != same
    template = copied / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert fingerprint(judge_in(copied).identity) != same


def test_nothing_is_loaded_before_the_first_pair(directory):
    judge = build_model(DirectoryModel(kind="directory", path=str(directory)), None)
    assert fingerprint(judge.identity)
    assert list(judge.judge([])) == []
    assert "_loaded" not in vars(judge)


def test_who_asks_no_model_imports_neither_torch_nor_an_http_client():
    code = "import sys, speciarl.verifiers.factory; print({'torch', 'aiohttp'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_directory_without_a_model_is_named(tmp_path):
    with pytest.raises(VerifierError, match=r"elsewhere.* holds no model"):
        judge_in(tmp_path / "elsewhere")


def test_a_tokenizer_without_a_chat_template_is_named(directory, tmp_path):
    copied = shutil.copytree(directory, tmp_path / "copied")
    (copied / "chat_template.jinja").unlink()
    with pytest.raises(VerifierError, match="no chat template"):
        list(judge_in(copied).judge(PAIRS))


def test_each_keeps_a_token_of_its_own_beyond_the_shared_prefix():
    assert shared_prefix([1, 2, 3], [1, 2, 4]) == [1, 2]
    assert shared_prefix([1, 2], [1, 2]) == [1]
    assert shared_prefix([1, 2], [1, 2, 3]) == [1]
    assert shared_prefix([1], [2]) == []
