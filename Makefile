# `make run` annotates the bundled sample; `make test` runs every check. Both need only Python 3.11 or newer and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONSTRAINTS ?= constraints-ci.txt

.PHONY: run test test-faults test-fuzz lint docs clean

run: $(STAMP)
	$(BIN)/fantasia-dask run

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell fantasia_dask tests docs config tools workflows README.md CHANGELOG.md CONTRIBUTING.md
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -r fantasia_dask -ll -c pyproject.toml
	$(BIN)/pytest -n 2 --dist worksteal -q

# The long forms: every kill and every fault (a quarter of an hour); fifty thousand wrong files (half an hour).
test-faults: $(STAMP)
	$(BIN)/pytest -n 2 --dist worksteal -q -m faults tests/faults -o addopts="-ra --strict-markers --import-mode=importlib"

test-fuzz: $(STAMP)
	$(BIN)/python tests/fuzz/campaign.py --cases $(or $(CASES),4000) --seed $(or $(SEED),0)

lint: $(STAMP)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# The tables, the tutorial's outputs and its pictures are made anew first; the site is in site/.
docs: $(STAMP)
	$(BIN)/python tools/docs_tables.py
	$(BIN)/python tools/docs_tutorial.py
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs site

$(STAMP): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq --no-compile -c $(CONSTRAINTS) -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) experiments site .pytest_cache .mypy_cache .ruff_cache .hypothesis
