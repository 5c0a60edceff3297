# Everything on a machine with Python 3.11 and make: `make demo`, `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
OUTPUT ?= build/demo
DEVICES := build/devices
COMPILE := $(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url

.PHONY: help demo test check test-slow device-environments lock clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /: /'

# The environment: locked packages, then this clone.
$(VENV)/.complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "fraudnet is locked for Python 3.11; make demo PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

demo: $(VENV)/.complete ## the whole way on simulated transactions, in under 8 minutes on 2 cores
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mlflow run mlflow --env-manager local -P output=$(OUTPUT)

test: check ## what CI checks: format, lint, types, layers, and the default tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup
	@echo 'Format, lint, types, layers and the default tests hold. The slow ones: make test-slow'

check: $(VENV)/.complete
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: $(VENV)/.complete device-environments ## the slow tests, and those on the public data sets where they are
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "slow or data"

# The device part alone, as `pip install .` brings it, and with the other runtime.
device-environments: $(VENV)/.complete
	rm -rf $(DEVICES)
	rm -rf build/lib build/bdist.*  # what an earlier build left would be packed again
	$(BIN)/uv venv -q --python $(BIN)/python $(DEVICES)/default
	$(BIN)/uv pip install -q --python $(DEVICES)/default -c requirements.lock .
	$(BIN)/uv venv -q --python $(BIN)/python $(DEVICES)/ai_edge_litert
	$(BIN)/uv pip install -q --python $(DEVICES)/ai_edge_litert -c requirements.lock ai-edge-litert numpy
	$(BIN)/uv pip install -q --python $(DEVICES)/ai_edge_litert --no-deps .

lock: $(VENV)/.complete ## write requirements.lock and mlflow/python_env.yaml anew from pyproject.toml
	$(COMPILE) --all-extras -o requirements.lock
	printf 'python: "3.11"\nbuild_dependencies: []\n# Made by `make lock` from requirements.lock.\ndependencies:\n' > mlflow/python_env.yaml
	$(COMPILE) --extra train --extra review -c requirements.lock | sed 's/.*/  - "&"/' >> mlflow/python_env.yaml

clean: ## remove what `make demo` and the tests made
	rm -rf build
