"""Starts the training of a run: in this process, or in as many as the parameters say."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from speciarl.config import Params
from speciarl.errors import ConfigError, TrainingError
from speciarl.files import atomic_write
from speciarl.paths import LOGS, MODELS, WORK
from speciarl.servers import START_SECONDS, free_port, locate, serving, stated_file
from speciarl.stage import end_with_parent
from speciarl.training.batches import plan_batches, plan_supervised
from speciarl.training.job import Settings
from speciarl.training.processes import launched
from speciarl.training.run import train
from speciarl.training.task import inputs_of, outputs_of, require_inputs, settings_of

CONFIGURATIONS = Path("workflow/accelerate")
GOES_ON = "start again, which goes on from the last checkpoint"


def start(run: str, params: Params, threads: int = 1) -> None:
    """Train a run of the parameters.

    By itself it starts as many processes as `training.devices`, by `accelerate launch`, and a
    rollout server where the parameters want one; within a launcher it is one of the processes.
    `threads` are those of each process.

    Raises:
        SpeciaRLError: one line, whichever process has failed.
    """
    settings, inputs, outputs = settings_of(params, run), inputs_of(params, run), outputs_of(run)
    require_inputs(inputs)
    if launched():
        end_with_parent()
        train(run, settings, inputs, outputs, threads)
        return
    if settings.run.method == "none":
        train(run, settings, inputs, outputs, threads)
        return
    devices = params.training.devices
    _require_divisible(settings, devices)
    with _devices_shared_out(settings, outputs.work) as address:
        if address:
            training = params.training.model_copy(update={"server": address})
            params = params.model_copy(update={"training": training})
        if devices == 1:
            train(run, settings_of(params, run), inputs, outputs, threads)
        else:
            _launch(run, params, threads)


def _require_divisible(settings: Settings, processes: int) -> None:
    """Refuse numbers that do not divide before anything is loaded."""
    if settings.run.method == "grpo":
        plan_batches(settings.grpo, settings.run.num_generations, processes)
    else:
        plan_supervised(settings.sft, processes)


@contextmanager
def _devices_shared_out(settings: Settings, work: Path) -> Iterator[str | None]:
    """Let the training see as many devices as it has processes, and a server of its own others.

    TRL would make one process use all that it sees (nn.DataParallel), and then refuses that.

    Yields:
        The address of the server, if this training starts one or a file names it.
    """
    training = settings.training
    serves = training.starts_server(settings.run.method)
    visible = _visible_devices()
    needed = training.devices + (training.server_devices if serves else 0)
    if (visible or serves) and len(visible) < needed:
        raise ConfigError(
            f"training.devices and server_devices need {needed} GPUs, {len(visible)} are visible: "
            "lower them, or let this job see more"
        )
    if not visible and training.devices > 1 and training.accelerate != "ddp":
        raise ConfigError(
            f"training.accelerate: {training.accelerate} needs a GPU for each process, none is "
            "visible: take ddp"
        )
    if visible:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible[: training.devices])
    if not serves:
        file = stated_file(training.server or "")
        yield locate(file, START_SECONDS) if file else None
        return
    from speciarl.policy.serving import pixel_limits, servable
    from speciarl.training.rollouts import TAKES_WEIGHTS, server_command

    base, port = MODELS / "base", free_port()
    served, pixels = servable(base, work / "served"), pixel_limits(base)
    command = server_command(served, pixels, port, training.server_devices)
    log = LOGS / "train" / f"{work.name}.vllm.log"
    seen = {"CUDA_VISIBLE_DEVICES": ",".join(visible[training.devices : needed])}
    with serving(command, port, log, TAKES_WEIGHTS | seen):
        yield f"http://127.0.0.1:{port}"


def _visible_devices() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()  # begins no CUDA: what is visible can still be changed
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def _launch(run: str, params: Params, threads: int) -> None:
    """`accelerate launch` of `speciarl train` with these parameters, by a call."""
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    training = params.training
    given = WORK / "train" / f"{run}.{os.getpid()}.yaml"
    with atomic_write(given) as partial:
        partial.write_text(yaml.safe_dump(params.in_full(), sort_keys=False), "utf-8")
    arguments = [
        "--config_file", str(CONFIGURATIONS / f"{training.accelerate}.yaml"),
        "--num_processes", str(training.devices),
        "--num_cpu_threads_per_process", str(threads),
        "--main_process_port", "0",  # a free one: trainings run side by side
        "--module", "speciarl.cli.main", "train", run, "--here",
        "--params", str(given), "--threads", str(threads),
    ]  # fmt: skip
    try:
        launch_command(launch_command_parser().parse_args(arguments))
    except ChildFailedError as error:
        raise TrainingError(_first_failure(error.failures, training.devices)) from None
    except SignalException as error:
        raise TrainingError(f"ended by {error.sigval.name}: {GOES_ON}") from None
    finally:
        given.unlink()


def _first_failure(failures: dict, processes: int) -> str:
    """Why processes have failed, in one line: by the one that failed of itself."""
    # Whoever waits for a killed process fails, too, or is ended by the launcher.
    kills = {
        rank: one for rank, one in failures.items()
        if one.exitcode < 0 and one.exitcode != -signal.SIGTERM
    }  # fmt: skip
    rank, one = min((kills or failures).items(), key=lambda item: item[1].timestamp)
    if rank in kills:
        return (
            f"process {rank} of {processes} was ended by {one.signal_name()}, and the others with "
            f"it: {GOES_ON}"
        )
    said = one.message["message"] if isinstance(one.message, dict) else one.message
    return f"process {rank} of {processes} failed: {said}"
