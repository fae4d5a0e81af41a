# reproduce: everything, on a bare machine with Python 3.11 and git.  Other targets: see below.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
export HF_HUB_OFFLINE := 1

.PHONY: reproduce test lint format bench
.DEFAULT_GOAL := reproduce

reproduce: $(VENV)/.installed
	snakemake --cores all all
	@speciarl table

test: $(VENV)/.installed
	pytest

lint: $(VENV)/.installed
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	mypy

format: $(VENV)/.installed
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow/rules

bench: $(VENV)/.installed
	python bench/taxonomy.py
	python bench/manifest.py
	$(BIN)/pip install --quiet -e ".[bench]" -c constraints.txt
	python bench/cache.py
	python bench/pipeline.py

# torch is named with its exact version first: pip then takes a CPU build where one is offered.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --quiet -e ".[dev]" -c constraints.txt
	$(BIN)/pip check
	touch $@
