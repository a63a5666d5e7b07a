# All commands run in .venv, which is built from the hashed locks. `make run` needs locks/run.txt only; `make test`
# adds locks/test.txt.
PYTHON ?= python3
PORT ?= 8000
EQL_HOME ?= var
export EQL_HOME

BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python

.PHONY: run test evidence lint format bench notebook docs lock clean

run: .venv/run.stamp
	@$(BIN)/eql up --port $(PORT)

test: .venv/test.stamp
	@$(BIN)/pytest

evidence: .venv/test.stamp
	@$(BIN)/python -m benchmarks.evidence

lint: .venv/test.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/test.stamp
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/bench.stamp
	@$(BIN)/python -m benchmarks

notebook: .venv/test.stamp
	@$(BIN)/marimo edit notebooks

docs: .venv/run.stamp
	@$(BIN)/python -m features.catalogue.document > docs/features.md

.venv/bin/uv: locks/build.txt
	@echo "Building .venv from the hashed lock ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r locks/build.txt
	@touch $@

.venv/run.stamp: .venv/bin/uv locks/run.txt pyproject.toml
	@$(UV) --require-hashes -r locks/run.txt
	@$(UV) --no-deps --no-build-isolation -e .
	@touch $@

.venv/test.stamp: .venv/run.stamp locks/test.txt
	@$(UV) --require-hashes -r locks/test.txt
	@touch $@

.venv/bench.stamp: .venv/test.stamp locks/bench.txt
	@$(UV) --require-hashes -r locks/bench.txt
	@touch $@

COMPILE = $(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --group build \
	--no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet

lock: .venv/bin/uv
	@$(COMPILE) --upgrade pyproject.toml --group test -o locks/test.txt
	@$(COMPILE) pyproject.toml -c locks/test.txt -o locks/run.txt
	@$(COMPILE) pyproject.toml --group test --group bench -c locks/test.txt -o locks/bench.txt
	@$(COMPILE) -c locks/test.txt -o locks/build.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
