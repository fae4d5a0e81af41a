"""The paper's architecture at one million parameters, with a word-level tokenizer."""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from speciarl.policy.loading import ImageOnlyProcessor

PATCH = 14
MERGE = 2
TEMPLATE = Path(__file__).with_name("chat_template.jinja")

PAD, END_OF_TURN = "<|endoftext|>", "<|im_end|>"
IMAGE = "<|image_pad|>"
# The chat markers of Qwen2.5-VL; the reasoning tags are ordinary text there and stay so here.
SPECIAL = (PAD, "<|im_start|>", END_OF_TURN, "<|vision_start|>", "<|vision_end|>", IMAGE,
           "<|video_pad|>")  # fmt: skip
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
ROLES = ("system", "user", "assistant")


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Word-level tokenizer over the words of `texts`; a word outside them becomes `<unk>`."""
    template_words = (*ROLES, "You", "are", "a", "helpful", "assistant.")
    tags = "|".join(map(re.escape, TAGS))
    words = sorted({word for text in texts for word in re.sub(tags, " ", text).split()})
    vocabulary = dict.fromkeys((*SPECIAL, "<unk>", *TAGS, *template_words, *words))
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token=PAD,
        eos_token=END_OF_TURN,
        additional_special_tokens=list(SPECIAL[1:]),
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.add_tokens(list(TAGS))
    return fast


def build_processor(tokenizer: PreTrainedTokenizerFast, image_size: int) -> ImageOnlyProcessor:
    """Processor in the format of Qwen2.5-VL for images of one size (pixels, square)."""
    pixels = image_size**2
    images = Qwen2VLImageProcessorPil(
        patch_size=PATCH, merge_size=MERGE, temporal_patch_size=2,
        min_pixels=pixels, max_pixels=pixels,
    )  # fmt: skip
    return ImageOnlyProcessor(images, tokenizer, chat_template=TEMPLATE.read_text("utf-8"))


def build_model(
    tokenizer: PreTrainedTokenizerFast, seed: int
) -> Qwen2_5_VLForConditionalGeneration:
    """A randomly initialized model; the same seed gives the same weights."""

    def token(word: str) -> int:
        return tokenizer.get_vocab()[word]

    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": len(tokenizer),
            "max_position_embeddings": 1024, "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0,
            },
            "pad_token_id": token(PAD), "eos_token_id": token(END_OF_TURN),
            "bos_token_id": None,
        },
        vision_config={
            "depth": 3, "hidden_size": 96, "intermediate_size": 192, "num_heads": 4,
            "patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": 2,
            "window_size": PATCH * MERGE * 4, "fullatt_block_indexes": [0, 1, 2],
            "out_hidden_size": 128, "in_channels": 3,
        },
        image_token_id=token(IMAGE),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=token(END_OF_TURN), pad_token_id=token(PAD), do_sample=False
    )
    return model
