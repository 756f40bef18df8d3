# Every command of the project. `make run` and `make test` are the two a newcomer needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCK   := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
          --custom-compile-command "make lock"

.PHONY: run dev install test test-fast check format lint types contracts mutants bench bench-browser bench-growth bench-weight screens lock vendor clean

run: install ## Serve the demo on http://127.0.0.1:8700
	$(BIN)/tocsin serve --demo

dev: $(VENV)/dev.stamp ## Serve the demo and start again when a source file changes
	TOCSIN_DEVELOPMENT=on $(BIN)/watchfiles --sigint-timeout 25 "$(BIN)/tocsin serve --demo" src

install: $(VENV)/run.stamp ## Make the environment only

$(VENV)/bin/python:
	@echo 'Making the environment in $(VENV) (once, about a minute) …'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

test: $(VENV)/dev.stamp ## Every test that this machine can run, browser and real senders included
	@$(BIN)/python tools/test_tools.py
	$(BIN)/pytest -n auto

test-fast: $(VENV)/dev.stamp ## Rules, use cases, commands, API and pages: what is run again and again while working
	$(BIN)/pytest -n auto -q tests/rules tests/use_cases tests/surfaces

check: format lint types contracts ## Everything that reads the code without running the product

format: $(VENV)/dev.stamp
	$(BIN)/ruff format --check src tests bench tools

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check src tests bench tools
	$(BIN)/djlint --lint --quiet src/tocsin/web/templates
	$(BIN)/python -m tools.dead_code
	$(BIN)/codespell src tests docs README.md CHANGELOG.md

types: $(VENV)/dev.stamp
	$(BIN)/basedpyright

contracts: $(VENV)/dev.stamp
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/contracts

MUTANTS ?= --sample 200 --seed 1
mutants: $(VENV)/dev.stamp ## Put faults into the code and see whether tests notice; by hand and weekly, takes an hour or so
	nice -n 10 $(BIN)/python -m tools.mutants $(MUTANTS)

bench: $(VENV)/dev.stamp ## Measure, print a table and write docs/performance.md
	@$(BIN)/python tools/test_tools.py
	$(BIN)/python -m bench

bench-growth: $(VENV)/dev.stamp ## Measure lists and searches on a million alerts; five minutes and 4 GB of disk
	$(BIN)/python -m bench growth

screens: $(VENV)/dev.stamp ## Take pictures of every page, at four widths, light and dark and in forced colours
	@$(BIN)/python tools/test_tools.py
	$(BIN)/python -m tests.journeys.screens $(SCREENS)

bench-browser: $(VENV)/dev.stamp ## Measure what a reader waits for, in a real browser; three minutes
	@$(BIN)/python tools/test_tools.py
	$(BIN)/python -m bench browser

bench-weight: $(VENV)/dev.stamp ## Measure what pages weigh and what packing them costs; a minute
	$(BIN)/python -m bench weight

lock: $(VENV)/dev.stamp ## Resolve the dependencies anew and write both lock files
	$(LOCK) pyproject.toml --group build -o requirements.lock
	$(LOCK) --no-deps tools/judges.in -o tools/judges.lock
	$(LOCK) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

vendor: $(VENV)/dev.stamp ## Fetch the pinned browser assets anew
	$(BIN)/python tools/vendor.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .cache
