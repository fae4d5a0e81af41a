"""How alike class names and predictions are to a sentence-embedding model in a local directory."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

from speciarl.answers import clauses, normalize
from speciarl.errors import ConfigError, one_line
from speciarl.verdicts import Pair

TOGETHER = 64  # texts


class Embedder:
    """Cosines of mean-pooled last hidden states, as sentence-transformers computes them.

    Raises:
        ConfigError: the directory holds no such model.
    """

    def __init__(self, directory: Path) -> None:
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
            model = AutoModel.from_pretrained(directory, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"measures.embedding_model: {directory} holds no encoder with its tokenizer "
                f"({one_line(error)}): put one there, or leave the parameter empty"
            ) from error
        self._model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def __call__(self, pairs: Iterable[Pair]) -> dict[Pair, tuple[float, float]]:
        """Of each pair the cosine of class name and prediction, and the largest of class name and
        any clause of the prediction or the whole. Clauses stand for the noun chunks of lmms-owc,
        which need a parser."""
        parts = {p: [p.prediction, *_clauses(p.prediction)] for p in pairs}
        texts = {text: None for pair, said in parts.items() for text in (pair.class_name, *said)}
        vectors = dict(zip(texts, self._embed(list(texts)), strict=True))
        found = {}
        for pair, said in parts.items():
            label = vectors[pair.class_name]
            cosines = [float(label @ vectors[text]) for text in said]
            found[pair] = (cosines[0], max(cosines))
        return found

    def _embed(self, texts: Sequence[str]) -> torch.Tensor:
        """texts x dimensions, of length 1."""
        parts = []
        for start in range(0, len(texts), TOGETHER):
            some = list(texts[start : start + TOGETHER])
            tokens = self._tokenizer(some, padding=True, truncation=True, return_tensors="pt").to(
                self._model.device
            )
            with torch.inference_mode():
                states = self._model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][:, :, None]
            parts.append(((states * mask).sum(1) / mask.sum(1)).float().cpu())
        return torch.nn.functional.normalize(torch.cat(parts), dim=1)


def _clauses(prediction: str) -> list[str]:
    return [clause.text for clause in clauses(normalize(prediction))]
