# camhub. `make` lists the commands. Nothing but Python >= 3.11 and make is needed to begin.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
WORKERS ?= 3
# A program that is started a hundred times by tests should not be compiled a hundred times.
export PYTHONDONTWRITEBYTECODE =

# Workers, their sharing, which tests. One that fails beside the others is told, and runs once more, alone: a busy machine must not
# decide, and what is broken fails again.
define suite
	@$(RUN) -m pytest -n $(1) --dist $(2) -m "$(3)" $(ARGS) || { [ $$? -eq 1 ] && echo "--- each that failed, once more, alone" \
	  && $(RUN) -m pytest --last-failed --last-failed-no-failures none -x -m "$(3)" $(ARGS); }
endef

.DEFAULT_GOAL := help
.PHONY: help demo test env dev check fast lint style types imports ui format lock bench fuzz clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: env ## set up, then run a hub with nine simulated cameras and open it
	@$(VENV)/bin/camhub demo $(ARGS)

test: dev ## set up, then run the whole test suite
	@$(PYTHON) tools/setup.py system
	$(call suite,$(WORKERS),loadfile,not browser and not slow)
	$(call suite,2,loadfile,browser or slow)

env: ## set up only: .venv, locked dependencies, the program, the user interface
	@$(PYTHON) tools/setup.py env

dev: ## set up with the tools for tests and checks
	@$(PYTHON) tools/setup.py env --dev

check: dev ## all of lint, and the fast tests beside it
	@$(MAKE) --no-print-directory -j 2 --output-sync=target lint fast

fast: # for check
	@$(RUN) -m pytest -n 2 -m "not (browser or slow or long or process or gstreamer or redis or postgres)"

lint: style types imports ui ## format, lint, strict types, import contracts, UI types and its own tests

style: dev # for lint, as the next three; `make -j 2 lint` runs them side by side
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .

types: dev
	@$(VENV)/bin/mypy

imports: dev
	@told=$$($(VENV)/bin/lint-imports --no-cache) || { echo "$$told"; exit 1; }; echo "$$told" | tail -n 4

ui: dev
	@$(PYTHON) tools/setup.py npm run --silent check

format: dev ## format the code and mend what the linter can mend
	@$(VENV)/bin/ruff format --quiet .
	@$(VENV)/bin/ruff check --quiet --fix .

lock: ## write the lock files anew (needs uv)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --only-binary :all: --no-emit-index-url \
	  --custom-compile-command 'make lock' pyproject.toml -o requirements/run.txt
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --only-binary :all: --no-emit-index-url \
	  --custom-compile-command 'make lock' pyproject.toml --group dev -o requirements/dev.txt
	@for group in build fuzz web; do uv pip compile -q --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	  --no-emit-index-url --custom-compile-command 'make lock' --group $$group -o requirements/$$group.txt; done

bench: dev ## measure relay (the soak takes half an hour), probe and judging; writes bench/RESULTS.md
	@$(RUN) bench/relay.py --write
	@$(RUN) bench/soak.py --write
	@$(RUN) bench/probe.py --write
	@$(RUN) bench/assess.py --write

fuzz: dev ## fuzz every parser for an hour of CPU (SECONDS=..., TARGET=...)
	@$(PYTHON) tools/setup.py fuzz
	@$(RUN) -m fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(TARGET),--target $(TARGET)) $(ARGS)

clean: ## remove everything that set-up and builds made
	@rm -rf $(VENV) web/node_modules hub/web/dist dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
