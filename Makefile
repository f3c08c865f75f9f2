# Two commands do everything: `make demo` and `make test`. Each sets up the environment in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BACKEND ?= local
# Two stacks of processes fit on two cores; of containers, with their health checks, one.
JOBS ?= $(if $(filter compose,$(BACKEND)),1,2)

.PHONY: install demo test quick check lint types layers twins flakes bench lock generate clean

install: $(VENV)/installed

$(VENV)/installed: requirements.lock pyproject.toml install.py
	@$(PYTHON) install.py

demo: install
	$(BIN)/harness run scenarios --tag demo --name demo -j $(JOBS) --backend $(BACKEND)

# Everything. Tests that start stacks or containers measure time, so these run one after another; the rest runs side by side.
test: check
	@echo "make test: unit and component tests, side by side (1 of 2)"
	$(BIN)/pytest -n auto --dist worksteal -m "not stack_run and not docker"
	@echo "make test: tests that run stacks and containers, one after another (2 of 2)"
	$(BIN)/pytest -m "stack_run or docker"

# What a contributor runs while working: at most 90 seconds on two cores.
quick: check
	$(BIN)/pytest -n auto --dist worksteal -q -m "not stack_run and not docker and not slow"

check: lint types layers

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

layers: install
	$(BIN)/lint-imports

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
