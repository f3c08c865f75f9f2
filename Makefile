# Start with `make demo` or `make test`. Every target but `lock` and `clean` sets up the environment in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BACKEND ?= local
# How many runs at a time (make demo JOBS=1). By default the harness adapts to the machine; with containers it is one.
JOBS ?= $(if $(filter compose,$(BACKEND)),1)
AT_A_TIME = $(if $(JOBS),-j $(JOBS))

.PHONY: install demo test quick check lint types layers twins flakes bench lock generate clean

install: $(VENV)/installed

$(VENV)/installed: requirements.lock pyproject.toml install.py
	@$(PYTHON) install.py

demo: install
	$(BIN)/harness run scenarios --tag demo --name demo --retry-busy $(AT_A_TIME) --backend $(BACKEND)

# All checks and tests. Those that start stacks or containers measure time and run one after another, the rest side by side.
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
	$(BIN)/harness run scenarios --twin control --name control $(AT_A_TIME)
	$(BIN)/harness run scenarios --twin sabotage --name sabotage $(AT_A_TIME)
	$(BIN)/harness run scenarios --twin misfire --name misfire $(AT_A_TIME)

flakes: install
	$(BIN)/python -m benchmarks.flakes --runs 10

bench: install
	$(BIN)/python -m benchmarks

# What is made from the code and kept in the repository.
generate: install
	$(BIN)/harness schema > schema/scenario.schema.json
	$(BIN)/python -m harness.runner.loading.reference docs/faults.md
	$(BIN)/python -m harness.report.advice_page docs/advice.md
	$(BIN)/python -c 'from pathlib import Path; from harness.report.documents import renew_schemas; renew_schemas(Path("reports/README.md"))'

# Needs uv, which nothing else here does: pip install uv
lock:
	uv pip compile --quiet --all-extras --no-strip-extras --generate-hashes --no-emit-index-url --universal pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
