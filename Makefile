# `make` lists the targets. Those below install what is missing on the machine first, and say so.

.DEFAULT_GOAL := help
.PHONY: help setup run test test-sdk check docs

ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## install what building needs (a C compiler, cmake), if it is missing
	@scripts/setup.sh

run: setup ## run the demo; for example: make run ARGS="--listen 127.0.0.1:9000"
	cargo run -- demo $(ARGS)

test: setup ## run the tests
	cargo test

test-sdk: ## run the official OpenAI SDKs for Python and Node against the demo
	@scripts/setup.sh sdk
	tests/sdk/run.sh

# Whether docs/providers.md is up to date is one of the tests.
check: setup ## check format, lints and documentation
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

docs: setup ## write docs/providers.md anew
	VIDGATE_BLESS=1 cargo test --test docs
