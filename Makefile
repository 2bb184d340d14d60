# Every target sets up what it needs: a fresh clone, Python >= 3.11, Node >= 20, make and git are enough.
# Python packages come from uv.lock by `uv sync --locked`, npm packages from package-lock.json by `npm ci`, both through
# whatever index and registry the machine is configured for.

PYTHON ?= python3
RUN := .venv/bin/python

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/tools/bin:$(PATH)
export SOLCX_BINARY_PATH ?= $(or $(patsubst %/solc-v0.8.37,%,$(wildcard $(HOME)/.solcx/solc-v0.8.37)),$(CURDIR)/tools/solc)

.PHONY: bootstrap build test test-deep lint fmt gas bench-book bench-health bench-liquidations soak demo drills devnet study-cascades drill-forced-exit clean

bootstrap:
	@$(PYTHON) tools/bootstrap.py

build: bootstrap
	@$(RUN) -m plimsoll.chain.build

test: build
	@$(RUN) -m pytest -m "not deep"

test-deep: build
	@HYPOTHESIS_PROFILE=deep $(RUN) -m pytest -m deep

lint: build
	@$(RUN) -m tools.lint

fmt: bootstrap
	@$(RUN) -m ruff check --fix-only --quiet .
	@$(RUN) -m ruff format --quiet .
	@tools/bin/forge fmt --root tools/forge contracts interfaces

gas: build
	@$(RUN) -m tests.gas

bench-book: bootstrap
	@$(RUN) -m plimsoll.book.bench

bench-health: build
	@$(RUN) -m tests.bench.health

bench-liquidations: build
	@$(RUN) -m tests.bench.liquidations

soak: build
	@$(RUN) -m tests.soak --write

demo: build
	@$(RUN) -m plimsoll.replay

drills: build
	@$(RUN) -m plimsoll.drills

devnet: build
	@$(RUN) -m plimsoll.devnet

drill-forced-exit: build
	@$(RUN) -m plimsoll.devnet.forced_exit

study-cascades: bootstrap
	@$(RUN) -m plimsoll.replay.cascades --write

clean:
	rm -rf .build .cache .venv node_modules reports .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
