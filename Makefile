# Everything a clone needs, through one file. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# One stamp for each set of packages: pip runs again only when pyproject.toml is newer.
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench
PEERS := $(VENV)/.installed-peers

DEBIAN_PACKAGES := telnet netcat-openbsd socat curl tmux
DEBIAN_PEERS := redis-server postgresql nginx openssh-server
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# What mypy checks: those of its folders that exist.
TYPED := $(wildcard coro examples benchmarks pytest_coro.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv debian-packages debian-peers lint types check test coverage docs bench bench-quick bench-console soak peers stdlib demo capture clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

venv: $(DEV) ## make .venv with the package and its development tools (PYTHON=python3.12 chooses another)

# pip appears last in a new environment: if it is there, the environment is whole.
$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "make: no '$(PYTHON)' on this machine: coro needs Python 3.11 or newer;" \
	    "name one with: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: coro needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) -V 2>&1);" \
	    "name another with: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' lacks the module venv or ensurepip;" \
	    "on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml | $(BIN)/pip
	$(PIP) install --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/pip
	$(PIP) install --editable '.[dev]'
	@touch $(RUNTIME) $@

$(PEERS): pyproject.toml | $(BIN)/pip
	$(PIP) install --editable '.[peers]'
	@touch $(RUNTIME) $@

$(BENCH): pyproject.toml | $(BIN)/pip
	$(PIP) install --editable '.[bench]'
	@touch $(RUNTIME) $@

# The end-to-end tests use real clients: telnet, nc (OpenBSD's, for Unix sockets), socat and curl. A Python
# of Debian's own comes without ensurepip, which `make venv` needs.
debian-packages: ## install the clients that the end-to-end tests use (Debian, Ubuntu)
	$(SUDO) apt-get -o Acquire::Retries=3 update
	extra=; $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || extra=python3-venv; \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
	  $(DEBIAN_PACKAGES) $$extra

# Where packages of servers start them, these four run afterwards: stop those that you do not want.
debian-peers: ## install the servers that `make peers` talks to (Debian, Ubuntu)
	$(SUDO) apt-get -o Acquire::Retries=3 update
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $(DEBIAN_PEERS)

lint: $(DEV) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV) ## mypy --strict
	$(BIN)/mypy $(TYPED)

check: lint types ## the fast part: lint, types and the tests that are not slow
	$(BIN)/python -m pytest -m "not slow"

test: lint types ## the one command: set up, lint, types and all tests
	$(BIN)/python -m pytest

coverage: $(DEV) ## all tests, with a report of the lines and branches that they missed
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

docs: $(DEV) ## build the documentation's site in docs/_build/html; warnings are errors
	$(BIN)/python -m docs.diagrams --check
	$(BIN)/python -m docs.generate --check
	$(BIN)/python -m sphinx -n -W --keep-going -b html docs docs/_build/html

bench: $(BENCH) ## time coro against all its peers, then fill in docs/performance.md (about twelve minutes)
	$(BIN)/python -m benchmarks.full
	$(BIN)/python -m benchmarks.page

bench-quick: $(BENCH) ## time coro against gevent and uvloop, as ratios
	$(BIN)/python -m benchmarks.quick

bench-console: $(RUNTIME) ## what the console costs: idle, beside 10 000 threads, `coro check`
	$(BIN)/python -m benchmarks.console idle load check

soak: $(DEV) ## threads, timers, connections and schedules by the million: what is left (about ten minutes)
	$(BIN)/python -m tests.soak --write docs/soak.md

peers: $(PEERS) ## ordinary libraries under coro against real servers, 200 threads each (about three minutes)
	$(BIN)/python -m tests.peers --write docs/run-what-you-have/index.md

# gevent, whose column stands beside ours, is among the benchmarks' peers.
stdlib: $(DEV) $(BENCH) ## the standard library's own tests under plain Python, coro and gevent (about 25 minutes)
	$(BIN)/python -m tests.stdlib --write docs/stdlib.md

demo: $(RUNTIME) ## the worms arena: a daemon with hundreds of threads, and its console
	$(BIN)/python -m examples.worms --demo

capture: $(RUNTIME) ## make the README's picture of the console anew, from a real session
	$(BIN)/python -m docs.capture

clean: ## remove what builds and tests left (.venv stays: remove it by hand to start afresh)
	rm -rf build dist docs/_build *.egg-info htmlcov .coverage .coverage.* \
	  .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name $(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
