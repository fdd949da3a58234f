# The words of this project: serve, test, lint, fix, bench. Each installs what it needs the first time and is quick afterwards.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# llama.cpp is built for the GPU that the build tools are there for; your own CMAKE_ARGS win.
ifndef CMAKE_ARGS
  ifneq ($(shell command -v nvcc),)
    CMAKE_ARGS := -DGGML_CUDA=on
  else ifneq ($(and $(VULKAN_SDK),$(shell command -v glslc)),)
    CMAKE_ARGS := -DGGML_VULKAN=on
  endif
endif
export CMAKE_ARGS
# pip's cache knows nothing of CMAKE_ARGS: a cached wheel may be built for another backend
PIP_INSTALL := $(BIN)/pip install --disable-pip-version-check --require-hashes $(if $(CMAKE_ARGS),--no-cache-dir)

# shows the compiler's [12/345] in place of pip's silence, and the end of the log when something fails
PROGRESS := awk '/\[[0-9]+\/[0-9]+\]/ { match($$0, /\[[0-9]+\/[0-9]+\]/); printf "\r  llama.cpp %s   ", substr($$0, RSTART, RLENGTH); fflush(); n = 1; next } \
	/^(Collecting|Installing collected|Successfully)/ { if (n) print ""; n = 0; print "  " substr($$0, 1, 100); fflush(); next } \
	{ last[NR % 40] = $$0 } \
	/ERROR|error:/ { for (i = NR - 39; i <= NR; i++) if (i > 0) print last[i % 40]; fflush() }'

.PHONY: help serve test lint fix bench bench-model llama-server lock clean

help:  ## list these words
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "llmsite needs Python 3.11 or newer; set PYTHON=python3.12, say")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing llmsite. Compiling llama.cpp takes about ten minutes on two cores, once$(if $(CMAKE_ARGS), ($(CMAKE_ARGS)))."
	@$(PIP_INSTALL) -v -r requirements.lock 2>&1 | $(PROGRESS)
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.test: requirements-test.lock $(VENV)/.serve
	@echo "Installing the tools of the tests."
	@$(PIP_INSTALL) -q -r requirements-test.lock
	@touch $@

serve: $(VENV)/.serve  ## install what is missing and serve http://127.0.0.1:11434
	@exec $(BIN)/llmsite serve

test: $(VENV)/.test  ## run every test that needs no outside server
	@bash tests/browser/install.sh
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.test  ## ruff, mypy, djlint, translations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/djlint templates --lint --quiet
	@$(BIN)/python -m tests.lint.translations

fix: $(VENV)/.test  ## repair what lint can repair
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

llama-server: $(VENV)/.serve  ## build llama.cpp's server, the yardstick of bench, into the user's cache
	@$(BIN)/python -m tests.bench.llama_server

bench: $(VENV)/.test  ## measure the figures of docs/performance.md: a table and JSON
	@$(BIN)/python -m tests.bench $(ARGS)

lock: pyproject.toml  ## resolve the dependencies anew
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml -o requirements.lock
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --extra test \
		-c requirements.lock pyproject.toml -o requirements-test.lock

clean:  ## remove what was built here
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache *.egg-info
