# What people, git hooks and continuous integration call. `make setup` comes first.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
CODE := platform/interlock platform_tests monitoring docker/dagster docker/platform infrastructure scripts/lib

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 17

.PHONY: setup
setup: ## Set up .venv from nothing but Python and the package index
	@. scripts/lib/environment.sh && prepare requirements-dev.lock

.PHONY: format
format: setup ## Put the code into its one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: lint
lint: setup ## Check style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: types
types: setup ## Check types
	@$(BIN)/mypy $(CODE)

.PHONY: imports
imports: setup ## Check that imports go one way
	@$(BIN)/lint-imports

.PHONY: unit
unit: setup ## Run the tests that start no service
	@$(BIN)/pytest -n 2 platform_tests/unit platform_tests/architecture

.PHONY: rules-test
rules-test: setup ## Check Prometheus's configuration and test every alert (needs promtool or Docker)
	@$(BIN)/python -m monitoring.check_rules

.PHONY: dashboards
dashboards: setup ## Write Grafana's dashboards from their code
	@$(BIN)/python -m monitoring.dashboards.generate

.PHONY: test
test: ## Everything: style, types, imports, all tests with coverage
	@./scripts/test.sh

.PHONY: stack-test
stack-test: setup ## Build the composed stack, use it, break it and remove it; needs Docker
	@$(BIN)/pytest -p no:randomly -p no:cacheprovider $(addprefix platform_tests/stack/check_,use.py faults.py end.py)

.PHONY: terraform-check
terraform-check: setup ## Check the Terraform tree: format, validity, tests, tflint, checkov
	@$(BIN)/python -m infrastructure.aws_test --only static

.PHONY: aws-test
aws-test: setup ## Check the Terraform tree, then apply dev to a local AWS API and destroy it
	@$(BIN)/python -m infrastructure.aws_test

.PHONY: demo
demo: ## Run a governed pipeline on real data
	@./scripts/demo.sh

.PHONY: bench
bench: setup ## Measure, print a table and write JSON
	@$(BIN)/python scripts/bench/run.py

.PHONY: lock
lock: setup ## Resolve the dependencies anew into both lock files
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header \
	  --python-version 3.11 pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header \
	  --python-version 3.11 pyproject.toml --group dev -c requirements.lock \
	  -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header \
	  --python-version 3.11 infrastructure/requirements-checkov.in \
	  -o infrastructure/requirements-checkov.lock
