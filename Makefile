# The commands of README, and what they need on a fresh machine. Underneath are plain cargo commands; nothing here is needed
# to use them except `make setup`.
#
#   make run      serve the example catalog on http://127.0.0.1:7007
#   make demo     hostile processors beside an honest tenant, on a terminal, in under a minute
#   make test     all tests
#   make lint     formatting, clippy, documentation
#   make ci       lint and test: what .ci/run runs
#   make compare  Greenroom beside a live Backstage: every difference is one of docs/compatibility.md

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
DATA_DIR ?= ./greenroom-data
CONFIG ?= docs/example/greenroom.toml
TOOLCHAIN := $(shell sed -n 's/^channel = "\(.*\)"$$/\1/p' rust-toolchain.toml)
TARGET := wasm32-wasip2
DEPLOY_CHECKS := tests/integration/deploy
NODE_CHECKS := tests/integration/node
OPENAPI_CHECKS := tests/integration/openapi
COMPARE := tests/compare

.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

.PHONY: run
run: setup
	exec $(CARGO) run --bin greenroom -- serve --data-dir $(DATA_DIR) --config $(CONFIG)

.PHONY: demo
demo: setup
	$(CARGO) build --bin greenroom
	exec $(CARGO) run --bin greenroom-demo

.PHONY: test
test: setup node-checks openapi-checks deploy-checks
	$(CARGO) test

.PHONY: lint
lint: setup rustfmt clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy -p greenroom-test-programs --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check; \
	else echo "make lint: cargo-deny is not installed; its check is skipped here and runs in .github/workflows/ci.yml"; fi

.PHONY: ci
ci: lint test

# No part of `make ci`: it installs Backstage's packages (350 MB) and starts Postgres, both for itself alone.
.PHONY: compare
compare: setup compare-tools
	@$(MAKE) --no-print-directory CI=true node-checks
	@if ! [ $(COMPARE)/node_modules/.package-lock.json -nt $(COMPARE)/package-lock.json ]; then \
		cd $(COMPARE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json; \
	fi
	$(CARGO) build --bin greenroom
	exec node $(COMPARE)/compare.mjs "$${CARGO_TARGET_DIR:-target}/debug/greenroom"

.PHONY: compare-tools
compare-tools:
	@if ! { command -v node && command -v npm; } >/dev/null || ! node -e 'process.exit(Number(process.versions.node.split(".")[0] < 20))'; then \
		echo "make compare: missing Node 20 or later, with npm: install it from https://nodejs.org" >&2; exit 1; \
	fi
	@if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
		echo "make compare: missing the programs of Postgres (initdb, pg_ctl): install the package postgresql" >&2; exit 1; \
	fi

# Checks tools, and installs the pinned toolchain and the Wasm target where they are missing. Asks the network for nothing
# that is already there.
.PHONY: setup
setup:
	@for tool in $(CARGO) git cc; do \
		command -v "$$tool" >/dev/null && continue; \
		case "$$tool" in \
			cc) hint="a C compiler: install gcc or clang (it compiles the embedded SQLite)";; \
			git) hint="git: install it with the system's package manager";; \
			*) hint="$$tool: install Rust with rustup, https://rustup.rs";; \
		esac; \
		echo "make: missing $$hint" >&2; exit 1; \
	done
	@if command -v rustup >/dev/null; then \
		rustup toolchain list | grep -q '^$(TOOLCHAIN)' \
			|| rustup toolchain install $(TOOLCHAIN) --profile minimal --component rustfmt --component clippy --no-self-update; \
		rustup target list --toolchain $(TOOLCHAIN) --installed | grep -qx '$(TARGET)' \
			|| rustup target add --toolchain $(TOOLCHAIN) $(TARGET); \
	elif ! [ -d "$$(rustc --print target-libdir --target $(TARGET) 2>/dev/null)" ]; then \
		echo "make: missing rustup, which adds the $(TARGET) target: install it from https://rustup.rs" >&2; exit 1; \
	fi

# Components that only `make lint` needs.
.PHONY: rustfmt clippy
rustfmt clippy: setup
	@if command -v rustup >/dev/null && ! rustup component list --toolchain $(TOOLCHAIN) --installed | grep -q '^$@'; then \
		rustup component add --toolchain $(TOOLCHAIN) $@; \
	fi

# The packages of the test that drives the host with the real catalog client. Where Node is absent the test itself decides:
# skipped aloud on a laptop, failed where CI=true.
.PHONY: node-checks
node-checks:
	@if ! { command -v node && command -v npm; } >/dev/null; then \
		echo "make test: Node is not installed; the test with the real catalog client is skipped (CI=true makes that an error)"; \
	elif [ $(NODE_CHECKS)/node_modules/.package-lock.json -nt $(NODE_CHECKS)/package-lock.json ]; then \
		:; \
	elif (cd $(NODE_CHECKS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json); then \
		:; \
	elif [ "$${CI:-}" = true ]; then \
		echo "make test: npm ci failed in $(NODE_CHECKS)" >&2; exit 1; \
	else \
		echo "make test: npm ci failed in $(NODE_CHECKS); the test with the real catalog client is skipped"; \
	fi

# What the test against Backstage's OpenAPI document needs: a Python environment with schemathesis, and the document. Where
# Python or Node is absent the test itself decides, as above.
.PHONY: openapi-checks
openapi-checks:
	@if ! { command -v node && python3 -c 'import ensurepip, venv'; } >/dev/null 2>&1; then \
		echo "make test: Python with venv, or Node, is not installed; the test with the OpenAPI document is skipped (CI=true makes that an error)"; \
	elif $(OPENAPI_CHECKS)/prepare; then \
		:; \
	elif [ "$${CI:-}" = true ]; then \
		echo "make test: $(OPENAPI_CHECKS)/prepare failed" >&2; exit 1; \
	else \
		echo "make test: $(OPENAPI_CHECKS)/prepare failed; the test with the OpenAPI document is skipped"; \
	fi

# What the tests of deploy/ need: a Python environment with the schemas of Kubernetes and Compose, and promtool. Where they cannot be
# had the tests themselves decide, as above.
.PHONY: deploy-checks
deploy-checks:
	@if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then \
		echo "make test: Python with venv is not installed; the tests of deploy/ are skipped (CI=true makes that an error)"; \
	elif $(DEPLOY_CHECKS)/prepare; then \
		:; \
	elif [ "$${CI:-}" = true ]; then \
		echo "make test: $(DEPLOY_CHECKS)/prepare failed" >&2; exit 1; \
	else \
		echo "make test: $(DEPLOY_CHECKS)/prepare failed; the tests of deploy/ are skipped"; \
	fi
