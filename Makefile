# Berth's commands. `make` alone lists them; what each needs, it installs (see .ci/setup and .ci/engine).

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
# A test process more than there are cores, up to four, since many wait for containers; a file's tests stay together,
# so that they share what they set up.
WORKERS ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores > 3 ? 4 : cores + 1)))
PYTEST_ARGS ?=
BENCH_ARGS ?=
SPREAD = -n $(WORKERS) --dist loadfile
# Engines, hosts and clients wait more than they work, and two at once are what two cores carry in their time.
PAIR = -n 2 --dist loadfile
ENGINE = tests/conformance tests/e2e

.PHONY: help setup demo test test-clients check style format bench bench-scale bench-registry bench-agent docs stop clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | awk -F '\t' '{ printf "  make %-15s %s\n", $$1, $$2 }'

setup: ## install what is missing: .venv, and a Docker Engine when none answers (it is left running)
	@.ci/setup
	@.ci/engine start

demo: ## the whole tour on real Docker: push, service, Fargate, Batch, schedule; leaves nothing running
	@.ci/setup
	@.ci/engine run .venv/bin/python -m orchestrator.demo

test: ## every test, on SQLite, PostgreSQL and real Docker, but for the clients that are slow to install
	@.ci/setup tests e2e compose
	@.ci/engine run .ci/tests $(SPREAD) -m "not slow_install and not docker" $(PYTEST_ARGS)
	@.ci/engine run .ci/tests $(PAIR) $(ENGINE) -m "docker and not slow_install and not alone" $(PYTEST_ARGS)
	@.ci/engine run .ci/tests $(ENGINE) -m "alone" $(PYTEST_ARGS)

test-clients: ## every client under test, those that are slow to install included (Airflow)
	@.ci/setup tests e2e clients
	@.ci/engine run .ci/tests tests/e2e/clients $(PYTEST_ARGS)

check: style ## the fast gate: format, lint, types, import contracts, and the tests that need no Docker
	@.ci/setup tests
	@.ci/tests -q $(SPREAD) -m "not docker" $(PYTEST_ARGS)

style: ## format, lint, types and import contracts alone
	@.ci/setup
	@.ci/style

format: ## let ruff format the code and mend what it can
	@.ci/setup
	@.venv/bin/ruff format --quiet
	@.venv/bin/ruff check --quiet --fix

bench: ## the benchmarks: ratios against a peer in the same run
	@.ci/setup
	@.ci/engine run .venv/bin/python -m bench

bench-scale: ## two million tasks on a simulated fleet, the engine, packing, delay, memory: a quarter of an hour
	@.ci/setup bench
	@.venv/bin/python -m bench.scale $(BENCH_ARGS)

bench-registry: ## the registry beside Debian's docker-registry, and its limits: five minutes; BENCH_ARGS="zb storm"
	@.ci/setup registry
	@.venv/bin/python -m bench.registry $(BENCH_ARGS)

bench-agent: ## the agent beside the bare SDK and Swarm, 100 containers, 5,000 agents, lost hosts, ten minutes of outage: half an hour; BENCH_ARGS="crowd"
	@.ci/setup
	@.ci/engine run .venv/bin/python -m bench.agent $(BENCH_ARGS)

docs: ## write the generated pages again
	@.ci/setup
	@.venv/bin/python -m docs.generate

stop: ## stop the Docker Engine that `make setup` started
	@.ci/engine stop

clean: stop ## remove what these commands made in this checkout
	@rm -rf .venv .venv-clients .venv-airflow build dist *.egg-info
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
