# make demo    set up, start the example gateway, send conversations through it (ARGS=--once exits, CORPUS=DIR replays recordings)
# make test    set up, lint, run every test
# make lint    ruff, mypy        make bench   measured ratios        make mutants   planted faults, each must fail a test
# make explore the same tests with examples that were never drawn before
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard headroom_asgi/_crush*.pyx headroom_asgi/_crush*.pxi headroom_asgi/_crush*.pxd)
# Every process would compile every source anew.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: setup build demo test lint bench mutants explore clean

setup: $(VENV)/.deps build

$(VENV)/.deps: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: apt-get install python3.11 python3.11-venv python3.11-dev gcc make"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -U "pip>=25.1" "setuptools>=80" "Cython>=3.3.1,<3.4"
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-compile --group dev
	@touch $@

build: $(VENV)/.built

$(VENV)/.built: $(VENV)/.deps setup.py pyproject.toml $(SOURCES)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/python -m example_app $(if $(CORPUS),--corpus $(CORPUS)) $(ARGS)

test: setup lint
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

mutants: setup
	$(BIN)/python -m tests.mutants $(ARGS)

explore: setup
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --hypothesis-profile=explore $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info headroom_asgi/*.so headroom_asgi/*.c
