"""The sections that say who judges: the training verifier and the judge of the evaluation."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from speciarl.config.base import Count, Positive, ProjectPath, Section, Share, Text, one_of
from speciarl.prompts import FOR_THE_JUDGES, names_in

PromptName = Annotated[str, one_of(names_in(FOR_THE_JUDGES))]


def _plain_url(value: str) -> str:
    expected = "expected http(s)://HOST[:PORT]/v1, or file:PATH"
    if value.startswith("file:") and len(value) > 5:
        return value
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:  # which would repeat what stands there
        raise ValueError(expected) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.query:
        raise ValueError(expected)
    if parts.username or parts.password:
        raise ValueError("expected no user or password: the key goes into api_key_env's variable")
    return value


class ServerModel(Section):
    """A language model behind an OpenAI-compatible server; all of it is part of a verdict's key."""

    kind: Literal["server"]
    name: Text
    """Model id, as the server knows it."""
    revision: Text
    """Commit or date of the weights, which the server does not tell; others judge otherwise."""
    prompt: PromptName = "base"
    thinking: bool = False
    max_tokens: Count = 16
    """Room for the label, and for the thoughts where `thinking` is on."""

    @model_validator(mode="after")
    def _room_for_thoughts(self) -> "ServerModel":
        if self.thinking and self.max_tokens < 256:
            raise ValueError(f"thinking needs max_tokens of at least 256, not {self.max_tokens}")
        return self


class DirectoryModel(Section):
    """A language model loaded by the job itself, which scores the labels by their likelihood."""

    kind: Literal["directory"]
    path: ProjectPath
    """Weights, tokenizer and chat template; their content is part of a verdict's key."""
    prompt: PromptName = "base"
    dtype: Literal["float32", "bfloat16"] = "float32"
    batch_size: Count = 8
    """Pairs scored together, each with all six labels."""


class Server(Section):
    """How a judge's server is reached: changes no verdict, and reruns no stage but the report."""

    base_url: Annotated[str, AfterValidator(_plain_url)]
    """Up to and with the version: http://localhost:8000/v1; or the file that `speciarl serve`
    writes the address into: file:work/servers/judge.url."""
    devices: Count = 1
    """GPUs that `speciarl serve` starts the server on, tensor parallel."""
    wait_seconds: Positive = 3600.0
    """For how long a job waits for a server that a file names."""
    api_key_env: Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$")] = (
        "SPECIARL_JUDGE_API_KEY"
    )
    """Name of the environment variable that holds the API key; the key itself stands nowhere."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 32
    """Requests under way at once, per job."""
    connect_timeout: Positive = 5.0
    """Seconds."""
    read_timeout: Positive = 60.0
    """Seconds for a whole reply."""
    retries: Annotated[int, Field(ge=0, le=100)] = 6
    """After a timeout, a broken connection, 429 or 5xx; six take half a minute."""
    give_up_after: Count = 16
    """Requests in a row that failed with all their retries before the server is left alone."""
    rest_seconds: Positive = 30.0
    """For how long, until the next try."""
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Money for a thousand requests; the report tells what the verdict store saved."""


class Verdicts(Section):
    store: ProjectPath | None = None
    """The file that verdicts are kept in, on a disk whose locks work; null is
    data/verdicts/cache.duckdb."""


class AskedModel(Section):
    """A language model that may be asked, and how its replies are kept."""

    model: Annotated[ServerModel | DirectoryModel, Field(discriminator="kind")] | None = None
    server: Server | None = None
    """Its server, for `kind: server`."""
    max_failures: Share = 0.01
    """A stage stops when a larger share of what it asks for has no reply that can be read."""
    store_timeout: Positive = 60.0
    """Seconds to wait for the verdict store while another program has it open."""

    @property
    def at_once(self) -> int:
        """Pairs about which the model is asked together."""
        return self.server.concurrency if self.server else getattr(self.model, "batch_size", 1)

    @model_validator(mode="after")
    def _server_fits(self) -> Self:
        if isinstance(self.model, ServerModel) != (self.server is not None):
            raise ValueError("server goes with a model of kind: server, and only with it")
        return self


class VerifierConfig(AskedModel):
    backend: Literal["taxonomy", "llm", "cascade"] = "taxonomy"
    """What judges after the rules of form: taxonomy, language model, or one after the other."""

    @model_validator(mode="after")
    def _backend_fits(self) -> Self:
        if (self.backend == "taxonomy") != (self.model is None):
            raise ValueError(
                f"backend: {self.backend} "
                + ("takes no model" if self.backend == "taxonomy" else "needs a model")
            )
        return self


class TrainingVerifierConfig(VerifierConfig):
    precompute_model: bool = False
    """Whether the model is asked ahead of time, too, about every term of every class; without, it
    is asked in training, about what is said."""
