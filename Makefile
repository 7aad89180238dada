# make demo    the whole study in minutes, on handwritten digits
# make mini ARCHIVE=...   the effects on a few thousand real images, on a CPU
# make article  the study as params.yaml describes it, on a GPU
# make test    checks and the whole test suite
# make check   formatting, types and the direction of imports

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
ENVIRONMENT := $(VENV)/.complete

.PHONY: demo mini article test check clean

demo: $(ENVIRONMENT)
	$(BIN)/netstab study demo

mini: $(ENVIRONMENT)
	@test -n "$(ARCHIVE)" || { echo "name the images: make mini ARCHIVE=path-or-url (README.md, \"Images\")"; exit 2; }
	$(BIN)/netstab study mini --source "$(ARCHIVE)"

article: $(ENVIRONMENT)
	$(BIN)/netstab study article $(if $(ARCHIVE),--source "$(ARCHIVE)")

test: check
	PATH="$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(ENVIRONMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(ENVIRONMENT): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo mini article
