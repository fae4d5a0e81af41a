# What every rule file uses: checked parameters, names to expand over, processors that exist.
import os
import sys
from pathlib import Path

import speciarl.config
import speciarl.errors
from speciarl.adopt import ADOPTING, adopt
from speciarl.workspace import open_workspace

PROJECT = Path(workflow.basedir)
try:
    PARAMS = speciarl.config.parse(config)
    WORKSPACE = None if ADOPTING in os.environ else open_workspace(PARAMS, PROJECT)
    if WORKSPACE:
        PARAMS = speciarl.config.parse(config, Path(os.path.relpath(PROJECT, WORKSPACE)))
except speciarl.errors.ConfigError as error:
    print(f"error: {error}", file=sys.stderr)
    os._exit(2)  # a raised error would reach the terminal as a traceback

# What was run, and what came out of it.
RECORD = "record.json" if WORKSPACE else "dvc.lock"

if WORKSPACE:

    workdir: str(WORKSPACE)

elif workflow.is_main_process:
    adopt(PROJECT)


BENCHMARKS = list(PARAMS.datasets.splits)
FOLDERS = list(PARAMS.datasets.folders)
DATASETS = PARAMS.datasets.names
RUNS = list(PARAMS.runs)

# A dataset of one's own need not have facts.
TAXONOMIES = [f"data/taxonomies/{name}.yaml" for name in ["common", *BENCHMARKS]]
TAXONOMIES += filter(os.path.isfile, [f"data/taxonomies/{name}.yaml" for name in FOLDERS])

# Jobs of this machine share the processors that it has, whatever --cores says; a cluster profile
# raises the limit.
PROCESSORS = len(os.sched_getaffinity(0))
workflow.global_resources.setdefault("cpu", PROCESSORS)
workflow.global_resources.setdefault("gpu", 1)

# No stage but `download` may reach for the network, and libraries are told so; a judge's server is
# asked where the parameters name one.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", VLLM_NO_USAGE_STATS="1")


wildcard_constraints:
    dataset="|".join(BENCHMARKS) or "$^",
    folder="|".join(FOLDERS) or "$^",
    run="|".join(RUNS),


def reads(*keys):
    """A rule's params, named by the keys of params.yaml that they are read from.

    A key may hold wildcards of the rule ("runs.{run}"); each job then gets its own value.
    """

    def value(key):
        found = PARAMS.model_dump()
        for part in key.split("."):
            found = found[part]
        return found

    def later(key):
        return lambda wildcards: value(key.format(**wildcards))

    return {key: later(key) if "{" in key else value(key) for key in keys}


def reads_judge(section, *watched):
    """The section of a verifier, key by key; only the watched keys make the stage run again.

    How a server is reached is no reason to train again. Snakemake does not watch what follows
    from the threads of a job, and so leaves alone a value that is asked for with them.
    """

    def unwatched(value):
        return lambda wildcards, threads: value

    values = reads(*(f"{section}.{key}" for key in PARAMS.model_dump()[section]))
    return {
        key: value if key.removeprefix(f"{section}.") in watched else unwatched(value)
        for key, value in values.items()
    }


def files_below(folder):
    """The visible files of a folder from outside.

    They stand for it as an input: its own time does not change with what is in them.
    """
    visible = (path for path in Path(folder).rglob("*") if not path.name.startswith("."))
    return sorted(str(path) for path in visible if path.is_file())


def weights_of(section):
    """A language model that the job loads as its judge; where it is missing, the job says so."""
    model = getattr(PARAMS, section).model
    return files_below(model.path) if model is not None and model.kind == "directory" else []


def mirror_of(dataset):
    """What `download` waits for: the rendered archives, in the miniature only."""
    return f"data/mirror/{dataset}" if PARAMS.datasets.mirror == "miniature" else []


def archives_of(datasets):
    """What stands for the unpacked archives of those datasets that have any."""
    return [f"data/raw/{name}/files.json" for name in datasets if name in BENCHMARKS]


def pictures_of(folder):
    """The pictures of a dataset of one's own, or the folder itself where there are none."""
    path = PARAMS.datasets.folders[folder].path
    return files_below(path) or path


def training_set_of(run):
    """Name and row of a run's training set."""
    name = PARAMS.runs[run].training_set
    return name, PARAMS.training_sets[name]
