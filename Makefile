# What a contributor needs; `make test` is what CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest

# Where versions matter: what we hold on to in Parsl, the hub in every use, and a page with plots.
LOWEST_TESTS := tests/contracts tests/e2e/test_hub.py tests/dashboards/test_workflow_page.py

.PHONY: demo
demo: $(VENV)/.installed  ## Run a small monitored workflow and show what was recorded
	$(BIN)/otel-parsl demo

.PHONY: test
# What is built takes what the others leave, and Parsl's own tests want a machine that is not busy.
test: $(VENV)/.installed-dev  ## Provision what the tests need, and run everything
	$(MAKE) --keep-going --jobs 3 backends lint types docs parsl-tests-untimed \
	  parsl-tests-without-logs-untimed $(LOWEST)/.installed
	CI=true $(MAKE) demo
	$(MAKE) --keep-going parsl-tests-timed parsl-tests-without-logs-timed side-by-side
	$(MAKE) missing

# Three at a time: much of a test's time is waiting for processes to start and to be missed. The
# longest are the first. What several of them need alike is made once.
.PHONY: side-by-side
side-by-side:
	shared=$$(mktemp -d) && trap 'rm -rf "$$shared"' EXIT && \
	OTEL_PARSL_TEST_SHARED="$$shared" $(MAKE) --keep-going --jobs 3 pytest-e2e-1 pytest-pages-1 \
	  pytest-pages-2 pytest-e2e-2 lowest pytest-parts-2 pytest-parts-1

.PHONY: backends
backends: $(VENV)/.installed-dev  ## Build or install the real backends (Jaeger, OpenTelemetry Collector, PostgreSQL, Chromium, btrfs, bindfs)
	nice -n 10 $(BIN)/python tests/backends/provision.py

.PHONY: missing
missing:  ## Name the backends that could not be had
	$(BIN)/python tests/backends/provision.py --check

.PHONY: lint
lint: $(VENV)/.installed-dev  ## Check style and the directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

.PHONY: types
types: $(VENV)/.installed-dev  ## Check types
	$(BIN)/mypy

.PHONY: pytest
pytest: pytest-parts pytest-pages pytest-e2e  ## Run our own tests

.PHONY: pytest-parts
pytest-parts: pytest-parts-1 pytest-parts-2  ## Run the tests of the parts

.PHONY: pytest-parts-1
pytest-parts-1: $(VENV)/.installed-dev backends
	$(BIN)/python -m pytest tests/backends tests/collector

.PHONY: pytest-parts-2
pytest-parts-2: $(VENV)/.installed-dev backends
	$(BIN)/python -m pytest --ignore tests/backends --ignore tests/collector \
	  --ignore tests/dashboards --ignore tests/e2e

.PHONY: pytest-pages
pytest-pages: pytest-pages-1 pytest-pages-2  ## Run the tests of the pages, in a real browser

.PHONY: pytest-pages-1
pytest-pages-1: $(VENV)/.installed-dev backends
	$(BIN)/python -m pytest tests/dashboards/test_[a-h]*.py

.PHONY: pytest-pages-2
pytest-pages-2: $(VENV)/.installed-dev backends
	$(BIN)/python -m pytest tests/dashboards/test_[i-z]*.py

.PHONY: pytest-e2e
pytest-e2e: pytest-e2e-1 pytest-e2e-2  ## Run whole Parsl programs

.PHONY: pytest-e2e-1
pytest-e2e-1: $(VENV)/.installed-dev backends
	$(BIN)/python -m pytest tests/e2e/test_[a-h]*.py

.PHONY: pytest-e2e-2
pytest-e2e-2: $(VENV)/.installed-dev backends
	$(BIN)/python -m pytest tests/e2e/test_[i-z]*.py

.PHONY: parsl-tests
parsl-tests:  ## Run Parsl's own monitoring tests with our hub in MonitoringHub's place
	$(PYTHON) tests/parsl_own/run.py

.PHONY: parsl-tests-without-logs
parsl-tests-without-logs:  ## Run them again with rows made of spans and metrics alone
	$(PYTHON) tests/parsl_own/run.py --without-logs

# Those that want a machine that is not busy, and the others.
.PHONY: parsl-tests-timed parsl-tests-untimed
parsl-tests-timed:
	$(PYTHON) tests/parsl_own/run.py --timed

parsl-tests-untimed:
	$(PYTHON) tests/parsl_own/run.py --untimed

.PHONY: parsl-tests-without-logs-timed parsl-tests-without-logs-untimed
parsl-tests-without-logs-timed:
	$(PYTHON) tests/parsl_own/run.py --without-logs --timed

parsl-tests-without-logs-untimed:
	$(PYTHON) tests/parsl_own/run.py --without-logs --untimed

.PHONY: lowest
lowest: $(LOWEST)/.installed backends  ## Try the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest $(LOWEST_TESTS)
	cd $(LOWEST) && rm -rf otel-parsl-demo && bin/otel-parsl demo

.PHONY: format
format: $(VENV)/.installed-dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: $(VENV)/.installed-docs  ## Build the documentation; a warning is an error
	$(BIN)/mkdocs build --strict

.PHONY: benchmark
benchmark: $(VENV)/.installed-dev  ## Measure overhead and ingest beside Parsl's own hub
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/ingest.py

.PHONY: help
help:  ## Show this
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.installed

# What pytest brings is not ours: it is installed after, and changes nothing that is there.
$(LOWEST)/.installed: pyproject.toml $(VENV)/.installed-dev
	$(BIN)/uv venv --quiet --clear --no-project --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct \
	  --editable '.[postgres]'
	$(BIN)/uv pip install --quiet --python $(LOWEST) hypothesis pillow playwright pytest
	touch $@

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@
