# `make help` lists what there is. Everything is installed into .venv, nothing outside this folder.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Many processes run the same modules here; images often tell Python not to keep what it compiled.
unexport PYTHONDONTWRITEBYTECODE

# Tests make a hundred databases, whose files come and go: in memory, where there is room for them.
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "/dev/shm"}')
ifneq ($(MEMORY),)
test conformance: export TMPDIR ?= $(MEMORY)
endif

.DEFAULT_GOAL := help
.PHONY: help node sandbox example run test api settings conformance mutants mutation chaos dist traced image e2e nextjs frontend bench bench-schema check format lock licences clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(READY): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-compile -r requirements.txt -r requirements-dev.txt
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true # on all cores, where pip takes one
	@touch $@

sandbox: $(READY) ## Start the service and the world around it, without any account
	@$(BIN)/python -m sandbox

example: node $(READY) ## Start the sandbox with the Next.js example on it; EXAMPLE=--across-origins for Bearer tokens
	@$(MAKE) --no-print-directory $(EXAMPLE_READY)
	@$(BIN)/python -m sandbox.example $(EXAMPLE)

node:
	@{ command -v npm && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 9) ? 0 : 1)'; } >/dev/null 2>&1 || \
		{ echo "make $(MAKECMDGOALS) needs Node.js 20.9 or later with npm: https://nodejs.org"; exit 1; }

PACKAGE := frontend/node_modules/.built
EXAMPLE_READY := examples/nextjs/node_modules/.ready

$(PACKAGE): frontend/package.json frontend/package-lock.json frontend/tsconfig.json frontend/scripts/build.mjs \
		$(wildcard frontend/src/*.ts frontend/src/*/*)
	@echo "Installing what builds the npm package in frontend/ (half a minute, once) …"
	@cd frontend && npm ci --loglevel=error
	@echo "Building the npm package …"
	@cd frontend && npm run --silent build
	@touch $@

$(EXAMPLE_READY): $(PACKAGE) examples/nextjs/package-lock.json
	@echo "Installing Next.js and Clerk in examples/nextjs/ (a minute, once) …"
	@cd examples/nextjs && npm ci --loglevel=error
	@touch $@

run: $(READY) ## Run the service alone with the settings of .env
	@$(BIN)/gunicorn wsgi:app

test: $(READY) ## Run the whole test suite; DATE=2028-02-29 for another date, TESTS=tests/money for a part
	@$(BIN)/python $(if $(DATE),tests/clock/moved_clock.py '$(DATE)') -m pytest -n auto --dist loadfile --no-loadscope-reorder $(TESTS)

conformance: $(READY) ## Hold the stand-in for Supabase's API, the schema and every shape of table to a real PostgREST
	@$(BIN)/python -m pytest -n auto --dist loadfile --postgrest tests/stand_ins tests/access/test_rows_by_role.py \
		tests/schema/test_shapes.py tests/schema/test_shapes_over_http.py

mutants: $(READY) ## Seed bugs in mirror and checkout, one after the other: the tests find each
	@$(BIN)/python -m pytest -n auto tests/ordering/mutants.py tests/capacity/checkout_mutants.py

mutation: $(READY) ## A sample of one-line bugs in package and migrations: which the tests notice. An hour or more
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-mutants.txt
	@$(BIN)/python tests/mutants/sample.py --sample .artifacts/mutants.json --out .artifacts/mutants-figures.json

chaos: $(READY) ## Two replicas, thousands of deliveries, and all that may break does; CHAOS=--short for less
	@PYTHONPATH=.:tests:tests/ordering $(BIN)/python tests/ordering/chaos.py $(CHAOS)

dist: $(READY) ## Build wheel, sdist and their list of packages in dist/; install the wheel and use it
	@$(BIN)/python -m pytest --wheel tests/shipped/wheel

traced: $(READY) ## Install OpenTelemetry beside the service, and look at its traces
	@$(BIN)/python -m pytest --traced tests/shipped/traced

image: $(READY) ## Build the Docker image without Docker and run it, as root on Debian
	@$(BIN)/python -m pytest --image tests/shipped/image

e2e: $(READY) ## Click through the sandbox in headless Chromium; screenshots in .artifacts/e2e
	@$(BIN)/python -m pytest -n 2 --dist loadfile --e2e tests/shipped/browser

nextjs: $(READY) ## Build Next.js apps, the tutorial's and the example, and click through them. Needs Node 20.9 or later
	@$(BIN)/python -m pytest -n 2 --dist loadfile --nextjs tests/shipped/nextjs

frontend: node $(READY) ## Check, build and test the npm package against the sandbox. Needs Node 20.9 or later
	@$(MAKE) --no-print-directory $(PACKAGE)
	@cd frontend && npm run --silent check && \
		PYTHON=$(abspath $(BIN)/python) npm run --silent test

bench: $(READY) ## The service beside Flask, Next.js and Fastify, into docs/performance.md; BENCH=--short for a minute
	@$(BIN)/python -m bench.side_by_side $(BENCH)

bench-schema: $(READY) ## What the migrations cost a table of a million rows (ROWS=10000 for less); eight writers for a minute
	@$(BIN)/python -m bench.migration --rows $(or $(ROWS),1000000)
	@$(BIN)/python -m bench.many_writers

check: $(READY) ## Formatting, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY) ## Format the code and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(READY) ## Pin the newest allowed packages again, with hashes
	@$(BIN)/pip-compile --quiet --upgrade $(LOCK_FLAGS) --output-file=requirements.txt pyproject.toml
	@$(BIN)/pip-compile --quiet --upgrade $(LOCK_FLAGS) --output-file=requirements-redis.txt requirements-redis.in
	@$(BIN)/pip-compile --quiet --upgrade $(LOCK_FLAGS) --output-file=requirements-sentry.txt requirements-sentry.in
	@$(BIN)/pip-compile --quiet --upgrade $(LOCK_FLAGS) --output-file=requirements-tracing.txt requirements-tracing.in
	@$(BIN)/pip-compile --quiet --upgrade $(LOCK_FLAGS) --output-file=requirements-dev.txt requirements-dev.in
	@$(BIN)/pip-compile --quiet --upgrade $(LOCK_FLAGS) --output-file=requirements-mutants.txt requirements-mutants.in

api: $(READY) ## Write docs/api.md, the contract for people, from openapi.json
	@$(BIN)/python tests/house/api_page.py

settings: $(READY) ## Write docs/configuration.md, each setting for people, from config.py and .env.example
	@PYTHONPATH=. $(BIN)/python tests/house/configuration_page.py

licences: $(READY) ## List what the shipped packages are licensed under, after `make lock`
	@$(BIN)/python tests/house/licences.py

LOCK_FLAGS := --allow-unsafe --generate-hashes --no-emit-find-links --no-emit-index-url --strip-extras

clean: ## Remove the sandbox's data, caches and .venv
	rm -rf frontend/node_modules frontend/dist examples/nextjs/node_modules examples/nextjs/.next .sandbox .artifacts dist .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
