"""The verifier that the parameters ask for."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from speciarl.config.verifiers import DirectoryModel, Server, ServerModel, VerifierConfig
from speciarl.errors import ConfigError
from speciarl.taxonomy import Taxonomy
from speciarl.verifiers.base import Verifier
from speciarl.verifiers.cascade import Cascade
from speciarl.verifiers.rules import Rules
from speciarl.verifiers.taxonomy import Taxonomic


def build_verifier(
    settings: VerifierConfig,
    taxonomies: Path,
    classes: Mapping[str, Sequence[str]],
    model: Verifier | None = None,
) -> Cascade:
    """Rules, then the taxonomy, a language model, or both.

    With the taxonomy alone, what it leaves open is wrong and marked undecided; a language model
    leaves nothing open. Nothing is loaded or asked before the first pair.

    Args:
        settings: the `verifier` or `judge` section.
        classes: class names by dataset; needed only of those without a file of facts.
        model: the language model, where several verifiers share one.
    """
    taxonomy = Taxonomy.of_classes(taxonomies, classes)
    order: list[Verifier] = [Rules(taxonomy)]
    if settings.backend != "llm":
        order.append(Taxonomic(taxonomy))
    if settings.model is not None:
        order.append(model or build_model(settings.model, settings.server))
    return Cascade(order)


def build_model(model: ServerModel | DirectoryModel, server: Server | None) -> Verifier:
    """A language model as a judge; `server` says where a model of kind `server` is asked.

    The only place where the library itself reads the environment: the API key, whose variable the
    parameters name. Where it is not set none is sent.

    Raises:
        ConfigError: what is set cannot be a key.
    """
    # Imported for those who ask a model: seconds for the one, a tenth for the other.
    if isinstance(model, DirectoryModel):
        from speciarl.verifiers.local import LocalJudge

        return LocalJudge(model)
    from speciarl.verifiers.client import ChatServer
    from speciarl.verifiers.llm import LlmJudge

    assert server is not None  # the section sees to it
    return LlmJudge(model, ChatServer(server, _api_key(server.api_key_env)))


def _api_key(variable: str) -> str | None:
    key = os.environ.get(variable, "").strip()  # a key read from a file ends in a line break
    if not re.fullmatch(r"[!-~]*", key):
        raise ConfigError(
            f"{variable} cannot be an API key, expected printable ASCII without spaces: set it anew"
        )
    return key or None


def classes_of(rows: pl.DataFrame) -> dict[str, list[str]]:
    """Class names by dataset, of the relations in data/taxonomy or of samples."""
    named = rows.select("dataset", "class_name").drop_nulls()
    pairs = named.unique().sort("dataset", "class_name")
    return {
        name: group["class_name"].to_list()
        for (name,), group in pairs.group_by("dataset", maintain_order=True)
    }
