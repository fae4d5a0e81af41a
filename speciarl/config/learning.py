"""The sections on learning: the base policy, its adapters, and the two ways of training them."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from speciarl.config.base import Count, Positive, ProjectPath, Section, Seed, Text


class Loading(Section):
    """How a policy is loaded, for training and prediction alike."""

    device: Literal["cpu"] | None = None
    """`cpu`: never on a GPU, as a model directory must say where there is none; otherwise on one
    where there is one."""
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2", "flash_attention_3"] = "sdpa"
    """Of transformers; vLLM chooses its own. Flash attention is a package of its own."""
    max_pixels: Count | None = None
    """Larger images are scaled down to so many (VLM-R1: 401,408, at most 512 tokens); null takes
    the limit of the model directory."""


class Policy(Loading):
    source: Literal["miniature", "directory", "hub"] = "miniature"
    """Train the miniature policy, or take a model directory, or a model of the Hugging Face hub."""
    path: ProjectPath | None = None
    """The model directory, for `source: directory`."""
    name: Text | None = None
    """The model's name on the hub, for `source: hub`, which alone reads this and the next."""
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] | None = None
    """The commit there; a branch would be another model one day."""
    images_per_class: Count = 60
    pretrain_steps: Count = 1300
    """Optimizer steps on specific names."""
    habit_steps: Count = 400
    """Optimizer steps on predictions of mixed levels."""
    batch_size: Count = 48
    learning_rate: Positive = 2e-3
    seed: Seed = 0

    @model_validator(mode="after")
    def _path_with_directory(self) -> "Policy":
        if (self.source == "directory") != (self.path is not None):
            raise ValueError("path goes with source: directory, and only with it")
        if self.source == "hub" and not (self.name and self.revision):
            raise ValueError("source: hub needs name and revision")
        return self


class Lora(Section):
    rank: Count = 4
    alpha: Count = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Grpo(Section):
    """Group relative policy optimization through TRL (arXiv 2402.03300)."""

    steps: Count = 60
    """How often rollouts are drawn."""
    prompts_per_step: Count = 16
    updates_per_step: Count = 1
    per_device_batch_size: Count = 80
    """Completions in one forward pass, per process."""
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Positive = 1.0
    beta: Annotated[float, Field(ge=0)] = 0.03
    """Weight of the k3 estimate of the divergence from the base policy."""
    epsilon: Positive = 0.2
    epsilon_high: Positive | None = None
    """Upper clip where it differs (DAPO: .28)."""
    delta: Positive | None = 3.0
    loss_type: Literal["bnpo", "grpo", "dr_grpo", "dapo"] = "bnpo"
    """`bnpo` is a mean over tokens, as in the authors' runs."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    temperature: Positive = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_new_tokens: Count = 24
    overlong_buffer: Count | None = None
    """Last of the `max_new_tokens` over which a penalty grows to 1 (DAPO: 512 of 2,048)."""
    dynamic_sampling_tries: Annotated[int, Field(ge=0, le=1000)] = 0
    """How often, in a step, groups of equal reward are replaced by others (DAPO: 10)."""
    max_prompt_tokens: Count | None = None
    """Training images whose prompt is longer are left out, and counted; null takes all."""
    generation_tokens: Count | None = None
    """Most tokens, prompts and completions, that a process generates together where transformers
    does it; null generates all its completions of a step at once."""
    checkpoint_every: Count = 20
    """Generations between two checkpoints."""

    @model_validator(mode="after")
    def _buffer_in_the_completion(self) -> "Grpo":
        if (self.overlong_buffer or 0) > self.max_new_tokens:
            raise ValueError(
                f"overlong_buffer: expected at most max_new_tokens, {self.max_new_tokens}, "
                f"found {self.overlong_buffer}"
            )
        return self


class Training(Section):
    """How training is run; nothing here trains a run again."""

    devices: Count = 1
    """Processes that train together, each on a device of its own."""
    accelerate: Literal["ddp", "fsdp", "zero3"] = "ddp"
    """How several devices share the work: the file of the name in workflow/accelerate."""
    rollouts: Literal["transformers", "vllm-server"] = "transformers"
    """What generates completions: the training processes, or vLLM on devices of its own."""
    server: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/@?#]+|file:.+)$")] | None = (
        None
    )
    """Address of a vLLM server as TRL starts one, or the file that `speciarl serve rollouts` writes
    it into; where it is null, the training starts it."""
    server_devices: Count = 1
    """Of the vLLM server that the training starts."""
    report_to: list[Literal["tensorboard", "trackio", "wandb"]] = Field(default_factory=list)
    """Dashboards that TRL shows its metrics on, beside `results/live`."""

    def starts_server(self, method: str) -> bool:
        """Whether a training by this method starts a rollout server of its own."""
        return method == "grpo" and self.rollouts == "vllm-server" and self.server is None

    @field_validator("rollouts", mode="before")
    @classmethod
    def _not_colocated(cls, rollouts: object) -> object:
        if rollouts in ("colocate", "vllm-colocate"):
            raise ValueError(
                "vLLM within the training processes expands the tokens of an image twice "
                "(https://github.com/huggingface/trl/issues/6294): use vllm-server"
            )
        return rollouts

    @model_validator(mode="after")
    def _server_has_a_use(self) -> "Training":
        if self.server and self.rollouts != "vllm-server":
            raise ValueError("server goes with rollouts: vllm-server, and only with it")
        return self


class Sft(Section):
    """Supervised fine-tuning on the class names of the training set."""

    epochs: Positive = 4.0
    reasoning_tokens: Count = 24
    """Most tokens of the policy's own completion, whose reasoning its target begins with."""
    batch_size: Count = 40
    per_device_batch_size: Count = 40
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Positive = 1.0
