# make demo and make test each work alone on a fresh clone: they make .venv, install, and run.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# What napari's window needs on bare Debian or Ubuntu; the library half of the program needs none of it.
SYSTEM_PACKAGES := libgl1 libegl1 libfontconfig1 libglib2.0-0 libdbus-1-3 libxkbcommon-x11-0 \
	libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 xvfb xauth

.PHONY: demo test test-slow lint bench docs system clean

demo: .venv/demo.stamp
	$(BIN)/stemcount demo --out demo_result
	@echo "Look at it:  $(BIN)/stemcount view demo_result"

test: .venv/test.stamp system
	$(BIN)/python -m pytest

test-slow: .venv/test.stamp system
	$(BIN)/python -m pytest -m slow

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/docs.stamp
	rm -rf docs/reference/generated docs/_build
	$(BIN)/sphinx-build -W --keep-going --quiet -b html docs docs/_build/html
	@echo "Read it:  docs/_build/html/index.html"

bench: .venv/test.stamp
	@for script in $$(grep -l __main__ benchmarks/*.py); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "stemcount needs Python 3.11 or newer; none was found on PATH."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/demo.stamp: pyproject.toml | .venv/bin/python
	@echo "Installing stemcount and what it needs in .venv; this takes a minute or two."
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[gui]'
	@touch $@

.venv/test.stamp: pyproject.toml | .venv/bin/python
	@echo "Installing stemcount and what it needs in .venv; this takes a minute or two."
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ .venv/demo.stamp

.venv/docs.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

# Installs napari's system packages as root where apt is there, else prints the line to run.
system:
	@missing=""; command -v dpkg >/dev/null || exit 0; \
	for p in $(SYSTEM_PACKAGES); do \
		dpkg -s $$p 2>/dev/null | grep -q '^Status: install ok installed' || dpkg -s $${p}t64 2>/dev/null \
		| grep -q '^Status: install ok installed' || missing="$$missing $$p"; done; \
	test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	else \
		echo "The viewer tests need system packages. Please run:  sudo apt-get install -y$$missing"; fi

clean:
	rm -rf .venv demo_result docs/_build docs/reference/generated
