# make demo   sets up .venv, trains the demo study, writes its report
# make test   sets up .venv, checks style and types, runs all tests
# make bench  measures speed for about ten minutes and writes reports/speed.md; leave the machine alone meanwhile

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench setup clean

demo: setup
	$(BIN)/python -m repro.run degradation --preset demo
	$(BIN)/python -m repro.report --preset demo --out demo-report

test: lint .cache/node_modules/axe-core/axe.min.js
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check repro tests
	$(BIN)/ruff format --check repro tests
	$(BIN)/mypy

bench: setup
	mkdir -p build
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-json=build/benchmarks.json
	$(BIN)/python tests/benchmarks/speed_page.py build/benchmarks.json reports/speed.md

setup: .venv/.installed

# Checks the report's pages for accessibility; without npm those tests are skipped.
.cache/node_modules/axe-core/axe.min.js:
	-command -v npm >/dev/null && npm install --silent --no-save --prefix .cache axe-core@4

.venv/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, e.g. make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
