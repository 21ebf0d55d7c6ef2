# `make quickstart` and `make test` work on a fresh clone with python3 >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= auto

.PHONY: help quickstart test lint format docs bench clean

help:
	@echo "make quickstart  install into $(VENV), run the main job, print a table, write pictures"
	@echo "make test        install, run the whole test suite with doctests and coverage"
	@echo "make lint        ruff (lint, imports, docstrings, format) and the import rules"
	@echo "make docs        build the documentation into docs/_build/html"
	@echo "make bench       run every benchmark; writes benchmarks/results/"
	@echo "Set VENV=path to put the environment elsewhere, PYTHON=python3.12 to choose a Python."

# One environment serves every target; it is brought up to date when the dependencies
# change. torch comes first and alone: its pin must not be moved by a package after it.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("sklogit needs Python 3.11 or newer, found %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,docs,bench]'
	touch $@

quickstart: $(VENV)/.installed
	$(BIN)/python examples/quickstart.py

# One BLAS thread per worker: more would fight over the cores.
test: export OPENBLAS_NUM_THREADS = 1
test: export OMP_NUM_THREADS = 1
test: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.installed
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) docs/_build docs/auto_examples docs/api/generated docs/api/backreferences \
	  quickstart_output
