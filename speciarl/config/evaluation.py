"""Sections on the evaluation: predictions, the weights of their verdicts, further measures."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from speciarl.config.base import Count, Positive, ProjectPath, Section, Share
from speciarl.config.verifiers import AskedModel, DirectoryModel, ServerModel
from speciarl.verdicts import SPECIFICITY_WEIGHTS, Verdict


class Evaluation(Section):
    engine: Literal["transformers", "vllm"] = "transformers"
    """What generates the predictions; vLLM is much faster on a GPU and comes as an extra."""
    shards: Count = 1
    """Jobs that share the images of a run, each on a device of its own; the predictions are the
    same."""
    tensor_parallel: Count = 1
    """Devices that share the weights of a policy too large for one; vLLM only."""
    max_new_tokens: Count = 24
    batch_size: Count = 512
    """Sequences generated together; with vLLM, in flight at a time."""
    temperature: Positive = 0.6
    """For runs with `best_of` above 1; the others are greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_failures: Share = 0.01
    """Largest share of a dataset's images that may not open; each is counted as failed."""

    @model_validator(mode="after")
    def _parallel_in_vllm(self) -> "Evaluation":
        if self.tensor_parallel > 1 and self.engine != "vllm":
            raise ValueError("tensor_parallel above 1 needs engine vllm; shards spread the images")
        return self


class Weights(Section):
    """Specificity of a correct prediction by its level (the authors' evaluator)."""

    generic: Share = SPECIFICITY_WEIGHTS[Verdict.GENERIC]
    less_specific: Share = SPECIFICITY_WEIGHTS[Verdict.LESS_SPECIFIC]
    specific: Share = SPECIFICITY_WEIGHTS[Verdict.SPECIFIC]
    more_specific: Share = SPECIFICITY_WEIGHTS[Verdict.MORE_SPECIFIC]

    @model_validator(mode="after")
    def _never_falls(self) -> "Weights":
        weights = self.model_dump()
        if [*weights.values()] != sorted(weights.values()):
            raise ValueError(f"expected values that do not fall from {' to '.join(weights)}")
        return self


class InclusionServer(ServerModel):
    prompt: Literal["inclusion"] = "inclusion"


class InclusionDirectory(DirectoryModel):
    prompt: Literal["inclusion"] = "inclusion"


class Measures(AskedModel):
    model: Annotated[InclusionServer | InclusionDirectory, Field(discriminator="kind")] | None = (
        None
    )
    """A small language model, which says whether a prediction includes the class name (LLM
    inclusion of lmms-owc)."""
    embedding_model: ProjectPath | None = None
    """Directory of a sentence-embedding model, whose mean of the last layer's tokens counts, for
    the similarity of predictions to class names (lmms-owc: all-MiniLM-L6-v2)."""
