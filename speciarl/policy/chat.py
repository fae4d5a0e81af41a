"""The prompt pool: one text file per question put to the policy."""

from speciarl.prompts import FOR_THE_POLICY, load_from


def load_prompt(name: str) -> str:
    """Text of one prompt, without surrounding whitespace.

    Raises:
        ConfigError: there is no such prompt.
    """
    return load_from(FOR_THE_POLICY, name)


def chat_text(processor, prompt: str) -> str:
    """What the policy is asked by a prompt of the pool, in the chat format of its processor."""
    return processor.apply_chat_template(
        messages(load_prompt(prompt)), add_generation_prompt=True, tokenize=False
    )


def messages(prompt: str) -> list[dict]:
    """One user turn in the chat format of transformers: an image, then the question."""
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
