# What people, git hooks and continuous integration call. `make setup` comes first.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
CODE := platform/interlock platform_tests monitoring docker/dagster docker/platform infrastructure scripts/lib scripts/ci

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

.PHONY: browser-test
browser-test: setup ## Use Dagit and the console as each role does, in a real browser (needs chromium)
	@$(BIN)/pytest -p no:randomly -p no:cacheprovider $(addprefix platform_tests/stack/check_,browser.py console.py roles.py)

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

.PHONY: bench-scaling
bench-scaling: setup ## Simulate AWS from 3 to 10,000 products, write docs/autoscaling.md
	@$(BIN)/python scripts/bench/scaling.py

.PHONY: bench-web
bench-web: setup ## Measure the web server beside Dagster's own; write bench-web.json
	@$(BIN)/python scripts/bench/bench_web.py

.PHONY: bench-drift
bench-drift: setup ## Measure drift beside Evidently, on wide and on long tables; write bench-drift.json
	@$(BIN)/python scripts/bench/bench_drift.py

.PHONY: drift-calibration
drift-calibration: setup ## Measure false alarms and power of the drift verdict, write docs/drift.md
	@$(BIN)/python scripts/bench/drift_calibration.py

.PHONY: drift-ray
drift-ray: setup ## Profile partitions on a two-node Ray cluster of this machine: identical numbers
	@$(BIN)/python scripts/bench/drift_ray.py

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

# --- Delivery: every job of .github/workflows and of the Jenkinsfile calls one of these; docs/delivery.md.
# ENVIRONMENT=dev|staging|prod on the command line means over there, with DELIVERY_TARGET from Terraform.

CI := $(BIN)/python scripts/ci
RELEASE ?= $(shell git rev-parse HEAD)
REMOTE := $(if $(filter command,$(firstword $(origin ENVIRONMENT))),$(ENVIRONMENT))
INSIDE := $(REMOTE).interlock.internal
NAMED = $(or $(REMOTE),$(error say where: make $@ ENVIRONMENT=dev, staging or prod))
THERE = --environment="$(NAMED)" --target="$${DELIVERY_TARGET:?set it to delivery of Terraforms output stack}"
METRICS := metrics.json
CHAMPION := champion/metrics.json
COMMENT := metrics.md

.PHONY: ci-checks
ci-checks: ## Style, types, imports, workflows, all tests with coverage: scripts/test.sh
	@./scripts/test.sh

.PHONY: workflows-check
workflows-check: setup ## Check the workflows: schema, zizmor, actionlint where it is here
	@$(CI)/check_workflows.py

.PHONY: actionlint
actionlint: setup ## Build actionlint with Go into .venv; no wheel carries it
	@GOBIN="$(CURDIR)/$(BIN)" go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

.PHONY: rules-image
rules-image: setup ## Get the image that promtool is in
	@docker pull --quiet "$$($(BIN)/python -c 'from monitoring.check_rules import image; print(image())')"

.PHONY: images
images: ## Build the three images into Docker
	@python3 scripts/ci/images.py build --tag="$(RELEASE)" --release="$(RELEASE)"

.PHONY: image-scan
image-scan: setup ## Look for vulnerabilities in locked packages, and in images where a scanner is here
	@$(CI)/image_scan.py --images="$(RELEASE)"

.PHONY: train-sample
train-sample: setup ## Run the governed pipeline on the sample, with its gates, and write its metrics
	@$(CI)/sample_metrics.py --commit="$(RELEASE)" --out="$(METRICS)"

.PHONY: compare-champion
compare-champion: ## Compare the metrics with the champion's; Markdown
	@python3 scripts/ci/compare_metrics.py --candidate="$(METRICS)" --champion="$(CHAMPION)" --out="$(COMMENT)"
	@cat "$(COMMENT)"

.PHONY: fetch-champion
fetch-champion: ## Get the metrics of main's newest build with gh; there may be none
	@./scripts/ci/fetch-champion.sh "$(dir $(CHAMPION))"

.PHONY: comment
comment: ## Write the comparison to the pull request PULL_REQUEST with gh
	@./scripts/ci/comment.sh "$(COMMENT)"

.PHONY: registry-login
registry-login: ## Sign Docker in to the registry REGISTRY
	@./scripts/ci/registry-login.sh

.PHONY: images-push
images-push: ## Build and push to REGISTRY with provenance; what is there stays
	@python3 scripts/ci/images.py push --release="$(RELEASE)" \
	  --to="$${REGISTRY:?set it to the host of the registry}/interlock-$(NAMED)"

.PHONY: images-copy
images-copy: ## Copy a release from FROM_REGISTRY to REGISTRY as it is
	@python3 scripts/ci/images.py copy --release="$(RELEASE)" \
	  --from="$${FROM_REGISTRY:?set it to the host of the registry}/interlock-staging" \
	  --to="$${REGISTRY:?set it to the host of the registry}/interlock-$(NAMED)"

.PHONY: image-findings
image-findings: setup ## Stop at what the registry's own scan calls critical
	@$(CI)/image_findings.py $(THERE) --release="$(RELEASE)"

.PHONY: deploy
deploy: setup ## Roll a release out over there, test it, watch it, take it back if it fails
	@$(CI)/deploy.py $(THERE) --release="$(RELEASE)" $(DEPLOY_OPTIONS) -- \
	  $(MAKE) --no-print-directory smoke-test ENVIRONMENT="$(NAMED)"

.PHONY: smoke-test
smoke-test: setup ## Does the platform work? Here or over there; only prod is not made to run a pipeline
	@$(if $(REMOTE),$(CI)/run_job.py $(THERE) --seconds=600 -- python,$(BIN)/python) docker/platform/smoke_test.py \
	  $(if $(REMOTE),--dagster=http://dagster-webserver.$(INSIDE):3000 --mlflow=http://mlflow.$(INSIDE):5000) \
	  $(if $(filter prod,$(REMOTE)),,--launch=credit_risk_pipeline)

.PHONY: deploy-check
deploy-check: setup ## May the models of DEPLOY_MODELS be deployed, here or over there?
	@$(CI)/check_models.py $(if $(REMOTE),$(THERE)) --models="$${DEPLOY_MODELS$(if $(REMOTE),?set it,:=CreditRiskModel)}"

.PHONY: audit-verify
audit-verify: setup ## Verify the whole audit trail, here or over there
	@$(if $(REMOTE),$(CI)/run_job.py $(THERE) -- interlock,$(BIN)/interlock) audit verify

.PHONY: drift
drift: setup ## Has the data drifted from what the champions learned? Here or over there
	@$(if $(REMOTE),$(CI)/run_job.py $(THERE) -- python,$(BIN)/python) docker/platform/drift_report.py
