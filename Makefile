# Needs only make and Python 3.11 or later. ARGS go to the command: make demo ARGS=--once

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

# The pip that comes with Python takes twice the time, and is itself installed slowly: newest first, if one is there.
NEWEST_PIP := $(PYTHON) -m venv --without-pip .venv && \
  $(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --no-compile pip

LOCK := $(BIN)/uv pip compile --upgrade --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --custom-compile-command "make requirements"

# What watches the clock runs alone; the rest in processes that wait more than they work, each with a Kafka of its own.
ALONE := tests/chaos tests/soak tests/integration/test_outages.py tests/integration/test_ownership.py

.PHONY: help demo test lint catalogue pictures requirements sbom release-check image compose-test helm-test platform-test chaos soak bench profile clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

demo: .venv/demo ## see changes arrive in Kafka: sandbox, embedded broker and the real pipeline
	@$(BIN)/vtj-producer demo $(ARGS)

test: lint ## everything that must be right, on a real Kafka (without the long tests)
	$(BIN)/python -m pytest -m "not long" -n 3 --dist loadfile --durations=15 $(ALONE:%=--ignore=%) $(ARGS)
	$(BIN)/python -m pytest -m "not long" --durations=15 $(ALONE) $(ARGS)

lint: .venv/dev ## ruff, mypy, import rules, the schemas
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vtj-producer schemas check

catalogue: .venv/dev ## make docs/catalogue again; its catalogue.json is committed, and a test says when it is stale
	@$(BIN)/vtj-producer catalogue build --output docs/catalogue

pictures: .venv/dev ## make the pictures of README.md again, of a real demo and its status page: docs/pictures
	$(BIN)/python -m tests.pictures

requirements: .venv/dev ## lock what it runs on and what builds it anew, the newest, with hashes: requirements/
	$(INSTALL) 'uv>=0.9,<1'
	$(LOCK) --output-file requirements/run.txt pyproject.toml
	sed -n 's/^requires = \["\(.*\)"\]/\1/p' pyproject.toml | $(LOCK) --output-file requirements/build.txt -

sbom: .venv/dev ## the bill of materials of what is locked, CycloneDX: dist/sbom.cdx.json
	@mkdir -p dist
	@$(BIN)/python -W ignore -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/sbom.cdx.json requirements/run.txt

image: ## the container image vtj-producer, labelled with version and commit
	docker build --quiet --tag vtj-producer --build-arg REVISION=$$(git rev-parse HEAD) \
	  --build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) .

compose-test: .venv/dev ## the image and the stacks of docs/compose.md on any Docker engine, with their figures
	$(BIN)/python -m pytest -m long -s tests/compose $(ARGS)

release-check: .venv/dev sbom ## sdist, wheel and bill of materials into dist, and all that must be right about them
	$(INSTALL) 'pipx>=1.7,<2' 'twine>=6.1,<8' 'uv>=0.9,<1'
	rm -f dist/*.tar.gz dist/*.whl
	$(BIN)/uv build --quiet --out-dir dist
	$(BIN)/twine check --strict dist/*.tar.gz dist/*.whl
	$(BIN)/python -m pytest -m "long or not long" --durations=5 tests/integration/test_wheel.py $(ARGS)

helm-test: .venv/dev ## the chart in helm/, every example and option; wants helm
	$(BIN)/python -m pytest --durations=5 tests/helm $(ARGS)

chaos: .venv/dev ## the long chaos test, with its figures
	$(BIN)/python -m pytest -m long -s tests/chaos $(ARGS)

soak: .venv/dev ## hours of faults in minutes, SIGTERM at hundreds of moments, the long fuzz, every benchmark briefly
	$(BIN)/python -m pytest -m long -s tests/soak tests/bench $(ARGS)

bench: .venv/dev ## the benchmarks, with their figures
	$(BIN)/python -m tests.bench $(ARGS)

profile: .venv/dev ## where the microseconds of an event go, ours by name
	$(BIN)/python -m tests.bench.profile $(ARGS)

platform-test: .venv/platform ## the recipes of docs/platform.md: Kafka Connect into PostgreSQL, Spark into Parquet
	$(BIN)/python -m pytest -m long tests/platform $(ARGS)

clean: ## remove the environment, caches and builds
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "vtj-producer needs Python 3.11 or later: install one and name it, e.g. make PYTHON=python3.13" >&2; exit 1; }
	@$(NEWEST_PIP) 2>/dev/null || { rm -rf .venv; $(PYTHON) -m venv .venv; } || { rm -rf .venv; exit 1; }

# Stamps: installed again only when pyproject.toml is newer.
.venv/demo: pyproject.toml | $(BIN)/python
	@$(INSTALL) --editable '.[demo]'
	@touch $@

.venv/dev: pyproject.toml | $(BIN)/python
	@$(INSTALL) --editable '.[dev,demo]'
	@touch $@ .venv/demo

.venv/platform: pyproject.toml | $(BIN)/python
	@$(INSTALL) --editable '.[dev,demo,platform]'
	@touch $@ .venv/dev .venv/demo
