# What a developer runs; CI runs the same. `make VENV=DIR ...` uses another environment.
PYTHON ?= python3
VENV ?= .venv
EDITABLE ?= -e
PYTEST_FLAGS ?=
BIN := $(VENV)/bin

# llama-cpp-python is compiled once; this leaves out the half of it that hermes does not use.
BUILD_CMAKE := $(CURDIR)/hermes_cli/engine/llama/build.cmake
export SKBUILD_CMAKE_DEFINE ?= LLAVA_BUILD=OFF;CMAKE_PROJECT_INCLUDE=$(BUILD_CMAKE)

.PHONY: help setup test lint format types bench performance docs evaluation constraints

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup: $(BIN)/python  ## make the environment; compiles llama.cpp the first time, which takes minutes
	$(BIN)/pip install $(EDITABLE) '.[test]' -c constraints.txt

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

test:  ## run the tests; PYTEST_FLAGS="-k name" selects some
	$(BIN)/pytest $(PYTEST_FLAGS)

lint:  ## check formatting and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format:  ## format the code and apply safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types:  ## check the types
	$(BIN)/mypy

bench:  ## measure start-up, memory and rendering
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.render

performance:  ## measure beside llama.cpp's own programs and write docs/performance.md; TOOLS=DIR has llama-bench
	$(BIN)/python -m benchmarks.performance $(if $(TOOLS),--tools $(TOOLS))

docs:  ## write the generated page docs/cli.md
	$(BIN)/python docs/make_cli.py

evaluation:  ## score the demo model with lm-eval through hermes serve
	$(BIN)/pytest -n 0 tests/server/test_evaluation.py

constraints:  ## record the versions of this environment in constraints.txt
	$(BIN)/pip freeze --exclude-editable --exclude hermes-cli > constraints.txt
