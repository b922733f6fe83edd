# Every target does its own set-up (scripts/setup.sh), so a fresh clone needs nothing before.
SHELL := /bin/bash
DEMO_OUT ?= demo-out
PYTEST_ARGS ?=

# napari's tests need a display; xvfb-run gives them one on Linux.
DISPLAY_FOR_TESTS := $(if $(filter Linux,$(shell uname -s)),xvfb-run -a,)

export PYTHON TORCH_INDEX SKIP_SYSTEM

.PHONY: help demo demo-gui test check format clean

help:
	@echo "make demo      localize a simulated movie with shipped weights; results in $(DEMO_OUT)/"
	@echo "make demo-gui  the same, opened in napari"
	@echo "make test      run all tests"
	@echo "make check     lint, types, import rules, plugin manifest"
	@echo "make format    format the sources"
	@echo "make clean     remove .venv and $(DEMO_OUT)/"

demo:
	@scripts/setup.sh demo
	.venv/bin/dilatedloc demo --out $(DEMO_OUT)

demo-gui:
	@scripts/setup.sh gui
	.venv/bin/dilatedloc demo --out $(DEMO_OUT) --gui

test:
	@scripts/setup.sh dev
	$(DISPLAY_FOR_TESTS) .venv/bin/python -m pytest $(PYTEST_ARGS)

check:
	@scripts/setup.sh dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/npe2 validate src/napari_dilatedloc/napari.yaml

format:
	@scripts/setup.sh dev
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

clean:
	rm -rf .venv $(DEMO_OUT)
