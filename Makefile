# Needs Python 3.11 or newer, pip and a package index; everything else is set up in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test test-quick check format lint types imports clean bench-ml-1m bench-data bench-recommend

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "nearfar needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "installing nearfar and what it needs into .venv ..."
	$(INSTALL) -e '.[plots]'
	@touch $@

.venv/.dev: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "installing nearfar and its development tools into .venv ..."
	$(INSTALL) -e '.[dev]'
	@touch $@

demo: .venv/.demo ## MovieLens-100K: four algorithms compared, ten films recommended
	$(BIN)/nearfar demo

test: .venv/.dev ## the whole test suite
	$(BIN)/python -m pytest -n 2

test-quick: .venv/.dev ## the tests that take no more than a few seconds each
	$(BIN)/python -m pytest -n 2 -m "not slow"

format: .venv/.dev ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/.dev ## format and lint, without changing anything
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/.dev ## static types
	$(BIN)/basedpyright

imports: .venv/.dev ## which room may import which
	$(BIN)/lint-imports

check: lint types imports test ## everything: format, lint, types, imports, tests

bench-ml-1m: .venv/.dev ## five seeds of EASE, Mult-VAE and PIA on MovieLens-1M (about an hour)
	$(BIN)/python -m benchmarks.experiments.ml_1m

bench-data: .venv/.dev ## 20 million rows of CSV to CSR: seconds and peak memory
	$(BIN)/python -m benchmarks.data_prep

bench-recommend: .venv/.dev ## a million users from file to file: users/s and peak memory
	$(BIN)/python -m benchmarks.recommend_users

clean: ## remove the environment and caches
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
