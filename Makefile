VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
WORKERS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install demo methods test lint docs clean

help:  ## Show this.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt torch
	$(PIP) install --quiet -c constraints.txt --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt --editable '.[test]'
	@touch $@

install: $(VENV)/.installed  ## Make a virtual environment with the harness in it.

demo: $(VENV)/.installed  ## Train, score and rank six methods on the embedded model.
	@mkdir -p .harness
	$(BIN)/harness --db sqlite:///.harness/demo.db run experiments/smoke.yaml --workers $(WORKERS)

methods: $(VENV)/.installed  ## Prove a dozen methods on the embedded model.
	$(BIN)/harness adapters check none full lora dora adalora lora_plus vera denselora ia3 oft prefix_tuning loreft

test: $(VENV)/.test  ## Run the tests, in two processes with one thread each.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(VENV)/.test  ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(VENV)/.installed  ## Write the pages on commands and methods anew.
	$(BIN)/python -m harness.cli.reference > docs/cli.md
	$(BIN)/python -m harness.cli.methods_page > docs/.methods.md
	mv docs/.methods.md docs/methods.md

clean:  ## Remove the virtual environment and all artefacts of demo runs.
	rm -rf $(VENV) .harness build dist
