# What all the rules use: checked parameters, names to expand over, processors that exist.
import hashlib
import json
import os
import sys
from functools import cache
from itertools import groupby
from pathlib import Path

import snakemake.logging
from snakemake.iocontainers import Wildcards
from snakemake.settings.types import Quietness

import speciarl.config
import speciarl.config.starting
import speciarl.devices
import speciarl.errors
from speciarl.code import code_of, other_prompts, others, unread_by_judge
from speciarl.paths import EXCHANGE, FACTS, PAID, STORE
from speciarl.training.task import classes_to_name, inputs_of, settings_of, training_settings
from speciarl.versioning.adopt import ADOPTING, adopt
from speciarl.versioning.workspace import open_workspace

PROJECT = Path(workflow.basedir)

# Read by us and not by `configfile:`, which keeps the last of two equal keys.
FILES = [] if ADOPTING in os.environ else [PROJECT / "params.yaml"]
FILES += workflow.overwrite_configfiles
try:
    speciarl.config.starting.check_start(workflow.resource_settings.cores)
    PARAMS = speciarl.config.load(FILES, config)
    speciarl.config.check_paths(PARAMS, PROJECT)
    WORKSPACE = None if ADOPTING in os.environ else open_workspace(PARAMS, PROJECT)
    if WORKSPACE:
        relative = Path(os.path.relpath(PROJECT, WORKSPACE))
        PARAMS = speciarl.config.load(FILES, config, relative)
except speciarl.errors.SpeciaRLError as error:
    print(f"error: {error}", file=sys.stderr)
    os._exit(2)  # a raised error would reach the terminal as a traceback

# Where Snakemake is to be quiet of rules, it is of everything but what goes wrong: stages speak for
# themselves. (`--quiet all` would swallow that, too.)
shown = workflow.output_settings
if Quietness.RULES in (shown.quiet or ()) and not shown.dryrun:  # none in a job of a cluster
    for handler in snakemake.logging.logger.handlers:
        if isinstance(handler, snakemake.logging.ColorizingTextHandler):
            handler.setLevel("WARNING")

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
UNSEEN = PARAMS.unseen
IN_FULL = PARAMS.in_full()


def facts_of(datasets):
    """The facts that a verifier of some datasets knows; a custom dataset need not have any."""
    names = ["common", *PARAMS.datasets.known_to(datasets)]
    files = {name: f"{FACTS}/{name}.yaml" for name in names}
    return [file for name, file in files.items() if name not in FOLDERS or os.path.isfile(file)]


TAXONOMIES = facts_of(DATASETS)

# Jobs of this machine share the processors and the GPUs that it has, whatever --cores says. Where
# they are submitted, the cluster knows.
PROCESSORS = len(os.sched_getaffinity(0))
SUBMITTED = workflow.is_main_process and workflow.resource_settings.nodes is not None
if not SUBMITTED:
    workflow.global_resources.setdefault("cpu", PROCESSORS)
    workflow.global_resources.setdefault("gpu", len(speciarl.devices.visible()))

# Two threads that wait for one another by spinning take 14 s a step of the pretraining beside any
# busy process. Asleep they lose no more than their share of the processors, but each wake costs: a
# moment of spinning before (libgomp's loops) makes a step of 186 ms one of 134, and beside other
# work no more than a quarter longer.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# No stage but `download` may reach for the network, and libraries are told so; a judge's server is
# asked where the parameters name one. Names of files are UTF-8, whatever the locale is.
os.environ.update(
    PYTHONUTF8="1", HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", VLLM_NO_USAGE_STATS="1"
)


SCRIPTS = Path(workflow.basedir) / "workflow/scripts"

# Asked for each job, and the same for most.
row_of = cache(PARAMS.job)


wildcard_constraints:
    dataset="|".join(BENCHMARKS) or "$^",
    folder="|".join(FOLDERS) or "$^",
    domain="|".join(DATASETS),
    run="|".join(RUNS),
    shard="[0-9]+",


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


def weights_of(judge):
    """A language model that the job loads as its judge; where it is missing, the job says so."""
    model = judge.model
    return files_below(model.path) if model is not None and model.kind == "directory" else []


def embedder_of(measures):
    """The sentence-embedding model that scoring loads, where there is one."""
    return files_below(measures.embedding_model) if measures.embedding_model else []


# By stage: path and digest of each file of code that a job of these wildcards runs.
CODE = {}


def code(stage, unread=lambda wildcards: (), jobs=({},)):
    """The code of a stage as params, a folder each: which one changed is the reason of a rerun.

    unread: the files that are not for the job of the wildcards.
    jobs: the wildcards of all its jobs, where `unread` asks for them.
    """
    script = SCRIPTS / f"{stage}.py"
    code_without = cache(lambda unread: code_of(script, unread))
    unread_in = cache(lambda job: frozenset(unread(Wildcards(fromdict=dict(job)))))

    @cache
    def digests(unread):
        files = sorted(code_without(unread).items(), key=lambda item: folder_of(item[0]))
        by_folder = groupby(files, key=lambda item: folder_of(item[0]))
        return {folder: f"{folder} {digest_of(list(below))}" for folder, below in by_folder}

    def of_folder(folder):
        """As a value where all jobs have the same, since a function takes time in each of them."""
        found = {digests(unread_in(tuple(job.items()))).get(folder) for job in jobs}
        if len(found) == 1:
            return found.pop()
        return lambda wildcards: digests(unread_in(tuple(wildcards.items()))).get(folder)

    CODE[stage] = lambda wildcards: code_without(unread_in(tuple(wildcards.items())))
    return {folder: of_folder(folder) for folder in map(folder_of, code_without(frozenset()))}


def folder_of(path):
    """With a final slash, which no other name of params has."""
    return f"{os.path.dirname(path)}/"


def threads_of(stage):
    """The processors of a job by its row of params.yaml."""
    return lambda wildcards: row_of(stage, wildcards.get("run")).threads


def takes(stage):
    """The resources of a job by its row of params.yaml, as Snakemake names them."""

    def of_row(value):
        return lambda wildcards: value(row_of(stage, wildcards.get("run")))

    return {
        "gpu": of_row(lambda row: row.gpu),
        "cpu": threads_of(stage),
        "mem_mb": of_row(lambda row: 1000 * row.memory),
        "runtime": of_row(lambda row: row.runtime),
    }


# `snakemake --report FILE.html` shows these, each under its caption.
def captioned(name):
    return {"caption": f"../report/{name}.rst", "category": "Results", "labels": {"what": name}}


def store_of_job(wildcards, resources):
    """The verdict store of a job, and the folder that it exchanges verdicts in, if it is its node's.

    Snakemake does not watch what follows from resources: no stage runs again for another store.
    """
    shared = {"file": PARAMS.verdicts.store or str(STORE), "paid": str(PAID)}
    if not resources.get("node_local"):
        return shared
    of_node = Path(resources.tmpdir, f"speciarl-{os.getuid()}", digest_of(os.getcwd()), STORE.name)
    return shared | {"file": PARAMS.verdicts.store or str(of_node), "exchange": str(EXCHANGE)}


def digest_of(value):
    """Short hash of plain values."""
    content = json.dumps(value, sort_keys=True).encode()
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def mirror_of(dataset):
    """What `download` waits for: the rendered archives, in the miniature only."""
    return f"data/mirror/{dataset}" if PARAMS.datasets.mirror == "miniature" else []


def archives_of(datasets):
    """What stands for the unpacked archives of those datasets that have any."""
    return [f"data/raw/{name}/files.json" for name in datasets if name in BENCHMARKS]


def newest_of(folder):
    """What was changed last of a custom dataset: an image, or a folder that one left or came to.

    It stands for all of them, so that logs do not list ten thousand images. What has braces in its
    name, which Snakemake would take for wildcards, is refused or left out by the stage itself.
    """
    path = Path(PARAMS.datasets.folders[folder].path)
    below = (p for p in path.rglob("*") if not p.name.startswith(".") and "{" not in str(p))
    known = [(p.stat().st_mtime_ns, str(p)) for p in (path, *below) if p.exists()]
    return max(known, default=(0, str(path)))[1]
