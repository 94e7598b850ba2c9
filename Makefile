# Needs Python 3.11 or newer, pip and a package index; everything else is set up in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo dist docs e2e test test-quick test-faults test-mutants check format lint types imports clean bench-ml-1m \
	bench-train bench-score bench-quality bench-agreement bench-prepare bench-memory bench-large \
	bench-closed-form bench-recommend bench-peers bench-store bench-serve bench-scale bench-gpu

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "nearfar needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "installing nearfar and what it needs into .venv ..."
	$(INSTALL) -e '.[torch,plots,serve,maps]'
	@touch $@

.venv/.dev: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "installing nearfar and its development tools into .venv ..."
	$(INSTALL) -e '.[dev]'
	@touch $@

demo: .venv/.demo ## MovieLens-100K: four algorithms compared, ten films recommended
	$(BIN)/nearfar demo

test: .venv/.dev ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-quick: .venv/.dev ## the tests that take no more than a few seconds each
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-faults: .venv/.dev ## jobs failed, killed or cut off from power at every single write
	NEARFAR_EVERY_WRITE=1 $(BIN)/python -m pytest -n 2 tests/jobs/test_faults.py

test-mutants: .venv/.dev ## what share of small faults the tests notice: make test-mutants PLACE=jobs
	$(BIN)/python -m tests.mutants $(PLACE)

format: .venv/.dev ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/.dev ## format, lint and plain English, without changing anything
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m tests.house.phrases

types: .venv/.dev ## static types
	$(BIN)/basedpyright

imports: .venv/.dev ## which room may import which
	$(BIN)/lint-imports

check: lint types imports test ## everything: format, lint, types, imports, tests

bench-ml-1m: .venv/.dev ## five seeds of EASE, Mult-VAE and PIA on MovieLens-1M (about an hour)
	$(BIN)/python -m benchmarks.experiments.ml_1m

bench-peers: .venv/.dev ## environments of the four libraries that benchmarks compare with (5 GB)
	$(BIN)/python -m benchmarks.peers.setup

bench-train: .venv/.dev ## a training step against the floor and the peers
	$(BIN)/python -m benchmarks.train

bench-score: .venv/.dev ## the best 100 items of every user against the floor and the peers
	$(BIN)/python -m benchmarks.score

bench-quality: .venv/.dev ## seconds to a given validation NDCG@100 against the peers
	$(BIN)/python -m benchmarks.quality

bench-agreement: .venv/.dev ## Mult-VAE's NDCG here and in irspack, on several splits
	$(BIN)/python -m benchmarks.agreement

bench-prepare: .venv/.dev ## 20 million ratings from CSV to a split and to CSR, against pandas
	$(BIN)/python -m benchmarks.prepare

bench-memory: .venv/.dev ## peak memory, and how it grows with users, items, interactions
	$(BIN)/python -m benchmarks.memory

bench-closed-form: .venv/.dev ## EASE on MovieLens-20M's shape against LAPACK alone
	$(BIN)/python -m benchmarks.closed_form

bench-large: .venv/.dev ## a million users and a million items: an epoch of sampled softmax
	$(BIN)/python -m benchmarks.large_catalogue

bench-gpu: .venv/.dev ## a GPU's results and speed against the CPU and the bounds (under 8 minutes)
	$(BIN)/python -m benchmarks.gpu

bench-recommend: .venv/.dev ## a million users from file to file: users/s and peak memory
	$(BIN)/python -m benchmarks.recommend_users

dist: .venv/.dev ## the sdist, and the wheel made of it, in dist/
	rm -rf dist
	$(BIN)/python -m hatchling build -t sdist -d dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist dist/*.tar.gz

docs: .venv/.dev ## the documentation site, in build/site
	$(BIN)/zensical build --strict

e2e: .venv/.dev ## fourteen weeks of a shop, trained, scored, poisoned, killed, rolled back
	$(BIN)/python -m tests.e2e.fourteen_weeks

bench-store: .venv/.dev ## 20 million recommendations into PostgreSQL against COPY alone
	$(BIN)/python -m benchmarks.store

bench-scale: .venv/.dev ## training and scoring by users, items and k, and on workers
	$(BIN)/python -m benchmarks.scale

bench-serve: .venv/.dev ## the HTTP service: latency, throughput, memory, startup (an hour and a quarter)
	$(BIN)/python -m benchmarks.serve

clean: ## remove the environment and caches
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
