# `make demo` serves the demo, `make test` runs every check, and `make bench` runs the benchmarks.
# Each creates its environment if it is missing and installs what it needs: .venv for the first
# two, .venv-bench for the benchmarks. `make matrix` has one environment for each combination of
# Python and Twisted in .venvs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
BENCH_BIN := $(BENCH_VENV)/bin
CHECK_PYTHON = $(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "twistream needs Python 3.11 or newer; %s is %d.%d. Try: make PYTHON=python3.12 ..." % (sys.executable, v[0], v[1]))'

# An environment that could not be completed is created again.
.DELETE_ON_ERROR:

.PHONY: help demo test matrix bench bench-smoke format system-deps clean

help:
	@echo 'make demo         serve the demo on http://127.0.0.1:8080/ (elsewhere: LISTEN=tcp:8081:interface=127.0.0.1)'
	@echo 'make test         run the linter, the type checker, and all tests'
	@echo 'make matrix       run the tests on each supported Twisted and each Python on this machine'
	@echo '                  (15 minutes; for less: ONLY=oldest or ONLY="25.5.0 3.12")'
	@echo 'make bench        compare twistream with other servers (50 minutes on an idle machine;'
	@echo '                  for less: ARGS="--rounds 1 --only twelve"; for all options: ARGS=--help;'
	@echo '                  to compare two checkouts: ARGS="--only forms --against PATH")'
	@echo 'make bench-smoke  run every benchmark at a tiny size and check every byte (two minutes)'
	@echo 'make format       format the code'
	@echo 'make system-deps  install the programs that the tests need (on Debian or Ubuntu)'
	@echo 'make clean        remove everything that these commands created'

demo: $(VENV)/demo.stamp
	@$(BIN)/twistd -n --pidfile= twistream $(if $(LISTEN),--listen '$(LISTEN)')

test: $(VENV)/test.stamp
	@scripts/system-deps
	@scripts/test

matrix:
	@$(CHECK_PYTHON)
	@scripts/system-deps
	@$(PYTHON) scripts/matrix.py $(ONLY)

bench: $(BENCH_VENV)/bench.stamp
	@scripts/bench-deps
	@$(BENCH_BIN)/python -m benchmarks $(ARGS)

bench-smoke: $(BENCH_VENV)/bench.stamp
	@scripts/bench-deps
	@scripts/bench-smoke

format: $(VENV)/test.stamp
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

system-deps:
	@scripts/system-deps

clean:
	rm -rf $(VENV) $(BENCH_VENV) .venvs build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis .import_linter_cache _trial_temp* twisted/plugins/dropin.cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)

# Figures of a Python without optimisations mean little, so another one may be chosen.
$(BENCH_BIN)/python:
	@$(CHECK_PYTHON)
	$$(scripts/bench-python '$(PYTHON)') -m venv $(BENCH_VENV)

$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,dev]'
	@touch $@ $(VENV)/demo.stamp

$(BENCH_VENV)/bench.stamp: pyproject.toml | $(BENCH_BIN)/python
	$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@
