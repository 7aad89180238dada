# make demo    the whole study in minutes, on handwritten digits
# make mini    the effects on a few thousand images of CIFAR-10, on a CPU
# make article  the study as params.yaml describes it, on a GPU
#              (both take images of yours instead: ARCHIVE=path-or-url; docs/IMAGES.md)
# make test    checks and the test suite
# make test-all  and what is long and rare: lost nodes of a cluster, kills, compilers, full counts
# make torture  what it survives: kills, full disks, damage, a soak; an hour and a half at most
# make check   formatting, types and the direction of imports
# make fuzz    thousands of generated bad inputs (docs/RELIABILITY.md)
# make clean   removes the environment and demo/, mini/, article/ with their pages; the store stays
# make audit   known weaknesses of the pinned packages; needs the network

# The first of these that is new enough; `make PYTHON=/path/to/python` names another one.
FITS := import sys; sys.exit(not (3, 11, 4) <= sys.version_info < (3, 14))
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(FITS)' 2>/dev/null && echo $$p && break; done)
endif
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
ENVIRONMENT := $(VENV)/.complete
# Of published studies; it wants an older rich than the rest does.
VALIDATOR := $(VENV)/validator/.complete

.PHONY: demo mini article test quick test-all check torture fuzz audit clean

demo: $(ENVIRONMENT)
	$(BIN)/netstab study demo

mini: $(ENVIRONMENT)
	$(BIN)/netstab study mini $(if $(ARCHIVE),--source "$(ARCHIVE)")

article: $(ENVIRONMENT)
	$(BIN)/netstab study article $(if $(ARCHIVE),--source "$(ARCHIVE)")

PYTEST = PATH="$(BIN):$$PATH" $(BIN)/python -m pytest --dist loadgroup --no-loadscope-reorder

# Side by side: the tests leave room at their beginning and their end.
test: $(ENVIRONMENT)
	+@$(MAKE) --no-print-directory -j 2 check quick

quick: $(ENVIRONMENT)
	$(PYTEST) -n 2 -m "not long"

# One process more than cores that the tests are made for: these wait for processes of their own.
test-all: test $(VALIDATOR)
	$(PYTEST) -n 3 -m long

torture: $(ENVIRONMENT)
	PATH="$(BIN):$$PATH" PYTHONPATH=src:. $(BIN)/python -m torture all --fresh

check: $(ENVIRONMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(ENVIRONMENT)
	$(BIN)/python -c "import atheris" || { echo "atheris is there on Linux x86_64 alone"; exit 2; }
	PYTHONPATH=src:. $(BIN)/python -m torture.fuzz --way atheris
	PYTHONPATH=src:. $(BIN)/python -m torture.fuzz --way hypothesis

audit: $(ENVIRONMENT)
	$(BIN)/python -m torture.audit

$(ENVIRONMENT): pyproject.toml constraints.txt
	@$(or $(PYTHON),false) -c '$(FITS)' || { echo "netstab needs Python 3.11.4 to 3.13, and \
	$(or $(PYTHON),python3) is another one. Install one of these and name it: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(VALIDATOR): .ci/validator.txt $(ENVIRONMENT)
	$(BIN)/python -m venv $(VENV)/validator
	$(VENV)/validator/bin/python -m pip install --quiet --disable-pip-version-check -r .ci/validator.txt
	touch $@

clean:
	rm -rf $(VENV) demo mini article
