# `make demo` and `make test` need only Python 3.11, 3.12 or 3.13 with pip: they set up .venv themselves.
# TensorFlow 2.21 has no build for other versions, so a `python3` of another version is skipped.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,\
	$(shell $(python) -c '$(SUITS)' 2>/dev/null && echo $(python))) python3)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs-ready
SOURCES := mnasnet_cli data_prep tests benchmarks docs

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-variations test-all coverage test-torch fuzz test-wheel test-tf1 test-peers test-clients campaign campaign-quick lint format types check docs docs-serve reference bench clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## install everything, in pinned versions, into .venv

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c '$(SUITS)' || { echo "found $$($(PYTHON) --version 2>&1), but TensorFlow 2.21 needs Python 3.11, 3.12 or 3.13;" \
		"try: make PYTHON=/path/to/python3.13 setup"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	@touch $@

demo: $(READY)  ## every step on generated images: records, both trainings, evaluation, export
	@$(BIN)/mnasnet demo

# A test uses little more than one core. The tests of a file run in one process, since they share slow fixtures.
SIDE_BY_SIDE := -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

test: $(READY)  ## the fast tests: a small proof of each promise
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE)

test-variations: $(READY)  ## other cases of what the fast tests show
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'variation and not slow'

test-all: $(READY)  ## all tests, including variations and slow ones
	@$(BIN)/python -m pytest -m ""

coverage: $(READY)  ## line and branch coverage of the fast tests, by package
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) --cov --cov-report=json:build/coverage.json
	@$(BIN)/python tests/coverage_table.py build/coverage.json

test-torch: $(READY)  ## reading and writing PyTorch's files (installs torch into .venv: it is large)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev,import]' --constraint constraints.txt
	@$(BIN)/python -m pytest tests/weights tests/commands/test_import_download.py

FUZZ_SECONDS ?= 600
fuzz: $(READY)  ## damaged files of every kind through every reader: make fuzz [FUZZ_SECONDS=600]
	@$(BIN)/python tests/fuzz/fuzz_readers.py --seconds $(FUZZ_SECONDS)

test-wheel: $(READY)  ## build the wheel, install it into a new environment, and use it there (minutes)
	@$(BIN)/python tests/wheel/check_wheel.py

test-tf1: $(READY)  ## nets and records in TF-Slim and the Object Detection API, under TensorFlow 1.15 (needs Python 3.7)
	@$(BIN)/python tests/tf1/check_nets_factory.py
	@$(BIN)/python tests/tf1/check_records.py
	@$(BIN)/python tests/tf1/check_object_detection.py
	@$(BIN)/python tests/tf1/check_frozen.py

test-peers: $(READY)  ## imported weights against the original code: make test-peers PEER=python TPU=dir PORT=dir
	@$(BIN)/python tests/peers/check_torch.py --peer-python $(PEER)
	@$(BIN)/python tests/tf1/check_weights.py $(if $(TPU),--tpu "$(TPU)") $(if $(PORT),--port "$(PORT)")

# The programs come into an environment of their own: MediaPipe and OpenVINO want other versions of shared packages.
CLIENTS := $(VENV)-clients
CLIENT_FLAGS = $(if $(CLASSIFIER),--classifier "$(CLASSIFIER)") $(if $(RECORDS),--records "$(RECORDS)") \
	$(if $(DETECTOR),--detector "$(DETECTOR)") $(if $(DATA),--pictures "$(DATA)")

$(CLIENTS)/.ready:
	@$(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip install -qq --disable-pip-version-check mediapipe openvino onnxruntime pillow
	@if command -v npm > /dev/null; then npm install --silent --prefix $(CLIENTS) @litertjs/core playwright-core; fi
	@touch $@

test-clients: $(READY) $(CLIENTS)/.ready  ## exports in other programs: make test-clients CLASSIFIER=run RECORDS=dir DETECTOR=run DATA=pictures
	@$(BIN)/python tests/peers/check_clients.py --peer-python $(CLIENTS)/bin/python \
		--node-modules $(CLIENTS)/node_modules $(CLIENT_FLAGS)

# FAULT repeats one fault, or those whose names begin so: make campaign FAULT='kill at a moment/report/3'.
campaign: $(READY)  ## faults on every command: kills, full disks, damaged files (half an hour; FAULT=name repeats one)
	@$(BIN)/python tests/campaign/campaign.py $(if $(FAULT),--fault '$(FAULT)')

campaign-quick: $(READY)  ## some of each kind of fault, in three minutes
	@$(BIN)/python tests/campaign/campaign.py --quick --minutes 8 --work build/campaign-quick

lint: $(READY)  ## style, formatting and the import contract
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/lint-imports --no-logo --no-cache

format: $(READY)  ## rewrite the sources in the project's style
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

types: $(READY)  ## mypy
	@$(BIN)/mypy

check: lint types test  ## lint, types and test, as the continuous integration runs them

$(DOCS_READY): $(READY)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev,docs]' --constraint constraints.txt
	@touch $@

# The theme warns of a future MkDocs at each start; the version is pinned here.
docs docs-serve: export NO_MKDOCS_2_WARNING := 1

docs: $(DOCS_READY)  ## build the documentation into build/site; a broken link is an error
	@$(BIN)/python docs/generate_reference.py --check
	@$(BIN)/mkdocs build --strict --clean
	@echo "open build/site/index.html"

docs-serve: $(DOCS_READY)  ## show the documentation in a browser while you write
	@$(BIN)/mkdocs serve --strict

reference: $(READY)  ## write the reference pages of commands and configuration from the program
	@$(BIN)/python docs/generate_reference.py

# PEER is a Python with torch and torchvision (`pip install torch torchvision`); it may be that of .venv.
PEER ?= $(BIN)/python
bench: $(READY)  ## compare speed with other libraries: make bench DATA=photos/train [PEER=python]
	@test -d "$(DATA)" || { echo "name a folder with one folder of images a class: make bench DATA=photos/train"; exit 2; }
	$(BIN)/python benchmarks/record_writing.py $(DATA)
	$(BIN)/python benchmarks/input_pipeline.py $(DATA) --peer-python $(PEER)
	$(BIN)/python benchmarks/training_step.py --peer-python $(PEER)
	$(BIN)/python benchmarks/detector_step.py --peer-python $(PEER)
	$(BIN)/python benchmarks/detector_inference.py --peer-python $(PEER)

clean:  ## remove the files of builds, tests and checks; keeps .venv, records and runs
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info
	@find mnasnet_cli data_prep tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
