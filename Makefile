# Three commands: `make demo` serves the demo, `make test` runs every check, `make bench`
# measures. The first two make .venv if it is missing and install what they need; the last
# has an environment of its own, .venv-bench, without what is there for tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
BENCH_BIN := $(BENCH_VENV)/bin
CHECK_PYTHON = $(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "twistream needs Python 3.11 or newer; %s is %d.%d. Try: make PYTHON=python3.12 ..." % (sys.executable, v[0], v[1]))'

.PHONY: help demo test bench format system-deps clean

help:
	@echo 'make demo         serve the demo on http://127.0.0.1:8080/ (LISTEN=tcp:8081 to serve it elsewhere)'
	@echo 'make test         lint, types, layers, and all tests'
	@echo 'make bench        measure twistream beside other servers, in about 35 minutes on an idle machine'
	@echo '                  (ARGS="--rounds 1 --only twelve" for less; ARGS=--help tells what there is)'
	@echo 'make format       put the code into the form that lint asks for'
	@echo 'make system-deps  install the programs from outside PyPI that the tests need (Debian, Ubuntu)'
	@echo 'make clean        remove what these commands made'

demo: $(VENV)/demo.stamp
	@$(BIN)/twistd -n --pidfile= twistream $(if $(LISTEN),--listen '$(LISTEN)')

test: $(VENV)/test.stamp
	@scripts/system-deps
	@scripts/test

bench: $(BENCH_VENV)/bench.stamp
	@$(BENCH_BIN)/python -m benchmarks $(ARGS)

format: $(VENV)/test.stamp
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

system-deps:
	@scripts/system-deps

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis .import_linter_cache _trial_temp* twisted/plugins/dropin.cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)

$(BENCH_BIN)/python:
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(BENCH_VENV)

$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,dev,bench]'
	@touch $@ $(VENV)/demo.stamp

$(BENCH_VENV)/bench.stamp: pyproject.toml | $(BENCH_BIN)/python
	$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@
