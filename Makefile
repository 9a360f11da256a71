# `make` lists the targets. Those below install what is missing on the machine first, and say so.

.DEFAULT_GOAL := help
.PHONY: help setup run test test-sdk test-browser test-openapi test-metrics bench bench-translate bench-check check docs man

ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## install what building needs (a C compiler, cmake), if it is missing
	@scripts/setup.sh

run: setup ## run the demo; for example: make run ARGS="--listen 127.0.0.1:9000"
	cargo run -- demo $(ARGS)

test: setup ## run the tests
	cargo test

test-sdk: ## run the official OpenAI SDKs for Python and Node against the demo
	@scripts/setup.sh sdk
	tests/sdk/run.sh

test-browser: ## play videos of the demo in Chromium, and seek in them
	@scripts/setup.sh browser
	tests/browser/run.sh

test-openapi: ## run Schemathesis, from docs/openapi.json, against the demo
	@scripts/setup.sh openapi
	tests/openapi/run.sh

test-metrics: ## run promtool, the linter of Prometheus, on /metrics and on the alert rules
	@scripts/setup.sh metrics
	tests/metrics/run.sh

bench: ## measure against nginx and bare Pingora; for example: make bench ARGS="--quick"
	@scripts/setup.sh bench
	cargo build --release --bin vidgate --example passthrough
	python3 bench/rig $(ARGS)

bench-translate: setup ## measure how long translating takes; for example: make bench-translate ARGS=openai/small
	cargo bench --bench translate -- $(ARGS)

bench-check: ## count instructions and allocations against benches/translate/baseline.txt; ARGS=--bless saves them
	@scripts/setup.sh counts
	python3 -B bench/counts/check.py $(ARGS)

# Whether docs/providers.md is up to date is one of the tests.
check: setup ## check format, lints and documentation
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

docs: setup ## write docs/providers.md anew
	VIDGATE_BLESS=1 cargo test --test docs

man: setup ## write manual pages and completions for shells to target/man and target/completions
	cargo run --quiet -- man --dir target/man
	mkdir -p target/completions
	cargo run --quiet -- completions bash >target/completions/vidgate
	cargo run --quiet -- completions zsh >target/completions/_vidgate
	cargo run --quiet -- completions fish >target/completions/vidgate.fish
