# What a person types. Everything runs in .venv, which `python install.py test` makes.
PYTHON ?= .venv/bin/python
WEBUI ?= ../text-generation-webui

.PHONY: help check test lint format types demo docs webui-suite

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

check:  ## everything: lint, types and tests, as CI runs it
	python3 install.py test

test:  ## the tests; a part of them by ARGS="tests/kernels -k act_order"; in parallel by ARGS="-n 2 --dist loadfile"
	$(PYTHON) -m pytest -q $(ARGS)

lint:  ## ruff, without changing a file
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format:  ## ruff, changing files
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types:  ## mypy, strict for the rooms that pyproject.toml names
	$(PYTHON) -m mypy

demo:  ## the chat page with the tiny model
	python3 install.py demo

docs:  ## the generated tables, written into the documentation again
	$(PYTHON) tools/benchmark_tables.py
	$(PYTHON) tools/accuracy_table.py
	$(PYTHON) tools/architecture_table.py
	$(PYTHON) tools/webui_versions.py table
	$(PYTHON) tools/draw_design.py

webui-suite:  ## the tests inside a copy of a webui: make webui-suite WEBUI=PATH
	python3 install.py test --webui $(WEBUI)
