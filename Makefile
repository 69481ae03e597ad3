# Everything a newcomer needs: `make demo` and `make test` set up .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
IN_TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test check format bench dashboard soak faults fuzz outages reference-lane differential judge clean rolling reloads neighbours services-bench

demo: .venv/.demo
	$(BIN)/python -m gateway demo

# Two processes, each with its own servers; a file's tests stay together, for they share them. `pytest` alone is one.
test: .venv/.check
	$(BIN)/python -m pytest $(IN_TWO)

check: .venv/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	JWT_SECRET=no-secret-just-long-enough-for-the-check $(BIN)/python -m gateway check routes.yaml

format: .venv/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.bench
	$(BIN)/python -m tests.bench

dashboard: .venv/.check
	$(BIN)/python -m tests.bench.dashboard $(DASHBOARD)

services-bench: .venv/.check
	$(BIN)/python -m tests.bench.services $(SERVICES_BENCH)

soak: .venv/.bench
	$(BIN)/python -m tests.bench.soak $(SOAK)

faults: .venv/.bench
	$(BIN)/python -m tests.bench.soak --faults --minutes 3 $(SOAK)

fuzz: .venv/.fuzz
	$(BIN)/python -m tests.fuzz

neighbours: .venv/.check
	$(BIN)/python -m tests.faults.noisy_neighbour

outages: .venv/.check
	$(BIN)/python -m pytest tests/faults/store_outages.py

# The whole suite once more, every gateway without the fast lane.
reference-lane: .venv/.check
	GATEWAY_LANE=aiohttp $(BIN)/python -m pytest $(IN_TWO)

rolling: .venv/.check
	$(BIN)/python -m pytest -s tests/faults/rolling_restart.py

reloads: .venv/.check
	$(BIN)/python -m tests.faults.reload_load $(RELOADS)

differential: .venv/.check
	DIFFERENTIAL_STREAMS=100000 $(BIN)/python -m pytest tests/properties/test_lanes_agree.py

# CACHE_TESTS is a checkout of http-tests/cache-tests after `npm install`; needs node.
judge: .venv/.check
	$(BIN)/python -m tests.conformance.judge_http_cache $(CACHE_TESTS)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	touch $@

.venv/.check: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[check]'
	touch $@

.venv/.bench: .venv/.check
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[check,bench]'
	touch $@

.venv/.fuzz: .venv/.check
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[check,fuzz]'
	touch $@
