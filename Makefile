# make demo   sets up .venv, trains the demo study, writes its report
# make test   sets up .venv, checks style and types, runs the tests; see CONTRIBUTING.md for those that it leaves out
# make test-gpu  runs those of a GPU alone, and fails without one
# make report writes reports/ anew from results/reference/, for whoever changes records or the report; commit it
# make bench  measures speed for twenty minutes or more and writes reports/speed.md; leave the machine alone meanwhile

PYTHON ?= python3
BIN := .venv/bin
# What is installed besides the project itself; test,cluster,slurm also has what the tests on clusters need.
EXTRAS ?= test
# Which tests, as pytest's -m has it, and more for pytest, such as --durations=30.
MARKERS ?= not slow
PYTEST_ARGS ?=

# Without an NVIDIA GPU torch comes from here, without CUDA; empty: the usual build in any case. Where this cannot be
# reached, it is the usual build as well.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# On other systems than Linux the usual build has no CUDA.
CPU_BUILD = $(if $(TORCH_INDEX),$(shell test `uname -s` = Linux && ! nvidia-smi -L >/dev/null 2>&1 && echo yes))

.PHONY: demo test test-gpu lint bench report setup clean

demo: .venv/.installed
	$(BIN)/python -m repro.run degradation --preset demo
	$(BIN)/python -m repro.report --preset demo --out demo-report

test: lint .cache/node_modules/axe-core/axe.min.js
	$(BIN)/python -m pytest -m '$(MARKERS)' $(PYTEST_ARGS)

test-gpu: setup
	REPRO_NEED_GPU=1 $(BIN)/python -m pytest tests/gpu $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check repro tests
	$(BIN)/ruff format --check repro tests
	$(BIN)/mypy

bench: setup
	mkdir -p build
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-json=build/benchmarks.json
	$(BIN)/python tests/benchmarks/speed_page.py build/benchmarks.json reports/speed.md

report: .venv/.installed
	$(BIN)/python -m repro.report --results results/reference --committed --out reports

setup: .venv/.installed-$(EXTRAS)

# Checks the report's pages for accessibility; without npm those tests are skipped.
.cache/node_modules/axe-core/axe.min.js:
	-command -v npm >/dev/null && npm install --silent --no-save --prefix .cache axe-core@4

.venv/.installed: pyproject.toml setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, e.g. make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'Installing into .venv: $(if $(CPU_BUILD),1.5,6) GB of disk, most of it torch$(if $(CPU_BUILD), (6 where no CPU build can be had)).'
	$(if $(CPU_BUILD),$(BIN)/python -m pip install --retries 1 --index-url $(TORCH_INDEX) torch torchvision || echo 'No CPU build to be had there: the usual one it is.')
	$(BIN)/python -m pip install --editable .
	touch $@

.venv/.installed-$(EXTRAS): .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
