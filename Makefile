# Two commands do everything: `make demo` and `make test`. Each sets up the environment in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BACKEND ?= local
# Two stacks of processes fit on two cores; of containers, with their health checks, one.
JOBS ?= $(if $(filter compose,$(BACKEND)),1,2)

.PHONY: install demo test check lint types rooms unit browser twins flakes bench lock generate clean

install: $(VENV)/installed

# The lock has hashes, so pip refuses anything but the files that were locked. The package itself is installed in place.
$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, and this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m refstack.prepare
	touch $@

demo: install
	$(BIN)/harness run scenarios --tag demo --name demo -j $(JOBS) --backend $(BACKEND)

test: check unit

check: lint types rooms

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

rooms: install
	$(BIN)/lint-imports

# One test after the other: tests that start a stack measure time, and two at once would measure each other.
unit: install
	$(BIN)/pytest

twins: install
	$(BIN)/harness run scenarios --twin control --name control -j $(JOBS)
	$(BIN)/harness run scenarios --twin sabotage --name sabotage -j $(JOBS)

flakes: install
	$(BIN)/python -m benchmarks.flakes --runs 10

bench: install
	$(BIN)/python -m benchmarks

# What is made from the code and kept in the repository.
generate:
	$(BIN)/harness schema > schema/scenario.schema.json
	$(BIN)/python -m harness.runner.reference docs/faults.md

lock:
	uv pip compile --quiet --all-extras --no-strip-extras --generate-hashes --no-emit-index-url --universal pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
