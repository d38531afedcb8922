# `make run` and `make test` are all one has to know; both install what is missing (apt-get, with sudo if need be).
# Everything runs on this machine alone; what is built goes to target/, a server's data to data/.

SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)
TARGET ?= $(or $(CARGO_TARGET_DIR),target)
DATA ?= data
# Further words for the server: make run ARGS='--requirepass secret'
ARGS ?=
# Tools that measure against Valkey live beside the repository, where they are at all.
SHARED ?= ../shared
# Seconds per fuzz target.
FUZZ_SECONDS ?= 60

.PHONY: run build test unit portable compat compare lint fuzz bench profile clean help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

run: build ## build the release and start a server on port 6379 (TLS), data under ./data
	@mkdir -p $(DATA)
	$(TARGET)/release/holdfast server --dir $(DATA) $(ARGS)

build: ## the release build, for x86-64-v3 (or arm64)
	@.ci/prepare build
	cargo build --release --locked

test: ## all tests, with real clients where they can be had
	@.ci/prepare test
	@$(MAKE) --no-print-directory unit

unit: ## all tests, with what is installed
	@if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --locked --no-fail-fast; \
	else cargo test --locked --no-fail-fast; fi

portable: ## a release for any x86_64 (arm64 builds are portable as they are)
	@.ci/prepare build
ifeq ($(shell uname -m),x86_64)
	RUSTFLAGS="-C target-cpu=x86-64 -C link-arg=-fuse-ld=lld" cargo build --release --locked --target-dir $(TARGET)/portable
	@echo "built $(TARGET)/portable/release/holdfast"
else
	cargo build --release --locked
	@echo "built $(TARGET)/release/holdfast"
endif

compat: build ## Valkey's own tests and tables against this build, compared with tests/compat (UNITS='unit/type/string ...' runs those alone)
	@if [ ! -x $(SHARED)/peers/suite ]; then echo "skipped: $(SHARED)/peers/suite is not there"; \
	elif [ -n "$(UNITS)" ]; then $(SHARED)/peers/suite --server $(TARGET)/release/holdfast $(UNITS); \
	else tests/compat/surface.py $(TARGET)/release/holdfast "$$($(SHARED)/peers/get-peers)/valkey-9.1/bin/valkey-server" && \
	tests/compat/units.py $(SHARED)/peers/suite $(TARGET)/release/holdfast; fi

compare: build ## requests per CPU-second against Valkey, where it is at hand
	@if [ -x $(SHARED)/bench/compare ]; then $(SHARED)/bench/compare $(CASES); \
	else echo "skipped: $(SHARED)/bench/compare is not there"; fi

lint: ## formatting and clippy, warnings as errors
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

fuzz: ## every fuzz target for FUZZ_SECONDS (needs a nightly compiler and cargo-fuzz)
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { \
	  echo "cargo-fuzz and a nightly compiler are needed: cargo install cargo-fuzz; rustup toolchain install nightly"; exit 1; }
	@for t in $$(cargo +nightly fuzz list); do echo "== $$t"; \
	  cargo +nightly fuzz run $$t -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 || exit 1; done

bench: ## criterion: parser, table, dispatch, stream
	cargo bench --locked

profile: ## takes the profile anew that the release build is laid out by (needs redis-benchmark and LLVM's llvm-profdata)
	benches/profile/train

clean: ## what was built; data/ stays
	cargo clean
