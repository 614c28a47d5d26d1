# Every target sets up what it needs; nothing else has to be installed first than
# Python 3.11 or later and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CONSTRAINTS := constraints.txt
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PROJECTS := . api sdk/python $(PLUGINS)
EDITABLE := $(addprefix -e ./,$(PROJECTS))
MANIFESTS := $(addsuffix /pyproject.toml,$(PROJECTS)) $(CONSTRAINTS)
PACKAGES := pss_kernel pss_api pss_sdk $(patsubst plugins/%,pss_%,$(PLUGINS))
SOURCES := pss_kernel api migrations sdk plugins tests
PORT ?= 8000

# uv installs in seconds what pip installs in a minute; where it can't (a package index that
# only pip is set up for), pip does it.
INSTALL = $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint $(CONSTRAINTS) \
            --no-build-isolation $(1) \
          || $(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) \
            --no-build-isolation $(1)

.DEFAULT_GOAL := help
.PHONY: help demo serve test faults fuzz lint bench clean

help: ## What there is
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: .venv/demo ## Two airlines sell, ticket, check in and board; leaves everything in var/demo
	@$(BIN)/pss demo

serve: .venv/demo ## The same two airlines, left running with their OpenAPI page
	@$(BIN)/pss serve --demo --port $(PORT)

test: .venv/dev ## All tests but the fault tests
	$(BIN)/pytest -n 2 --dist loadgroup --ignore tests/faults

faults: .venv/dev ## The fault tests, with fifty kills of each kind
	PSS_TEST_KILLS=50 $(BIN)/pytest -n 2 --dist loadgroup tests/faults

fuzz: .venv/dev ## The whole OpenAPI document tried with many examples, by schemathesis
	PSS_TEST_EXAMPLES=25 $(BIN)/pytest tests/journeys/test_journeys_document.py

lint: .venv/dev ## Style, types, architecture, safe migrations, weak spots
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(addprefix -p ,$(PACKAGES))
	$(BIN)/lint-imports --config .importlinter.toml --no-logo
	$(BIN)/pss migrate lint
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive pss_kernel api plugins sdk migrations
	bash .ci/audit

bench: .venv/dev ## Figures beside their limits, also in var/bench.json
	@$(BIN)/python tests/benchmarks/run.py

clean: ## Remove what was built and written here
	rm -rf .venv var build .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; name one with 'make PYTHON=...'." >&2; exit 2; }
	@echo "Creating .venv"
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint $(CONSTRAINTS) uv hatchling editables
	@touch $@

.venv/demo: .venv/python $(MANIFESTS)
	@echo "Installing the kernel, the application and $(words $(PLUGINS)) plugins"
	@$(call INSTALL,$(EDITABLE))
	@touch $@

.venv/dev: .venv/demo
	@echo "Installing what the checks and tests need"
	@$(call INSTALL,-e ".[dev]")
	@touch $@
