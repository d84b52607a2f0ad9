# Every command a person or the CI types; anything longer than a few lines is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help demo test bench soak mutations mutants package docs deny clean

# The interpreter that apt's python3-cryptography belongs to.
export PYTHON ?= /usr/bin/python3
# Gives a command a PC/SC daemon of its own. `make test PCSCD=` leaves out what needs one.
PCSCD ?= scripts/with-pcscd

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Those of ARGS that want a PC/SC daemon.
demo-pcsc = $(filter --pcsc --network,$(ARGS))

demo: ## one payment from tap to booking (ARGS="..." goes to onetap demo)
	@scripts/setup $(if $(demo-pcsc),pcsc,demo)
	@cargo build --profile demo --locked -p onetap
	@$(if $(demo-pcsc),$(PCSCD)) cargo run --profile demo --locked -q -p onetap -- demo $(ARGS)

test: ## format, lints, documentation, all tests on a real PC/SC stack, independent vectors
	scripts/setup test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --quiet
	cargo clippy --locked -p onetap-c --no-default-features -- -D warnings
	cargo test --workspace --locked --no-run
	cd bindings/python && ../../target/venv/bin/maturin build --locked --interpreter $(PYTHON) --out ../../target/wheels
	ONETAP_YUBIKIT=$(CURDIR)/target/venv/bin/python ONETAP_CONTRACT=$(CURDIR)/target/contract/bin/python ONETAP_AXE=$(CURDIR)/target/axe/axe.min.js $(PCSCD) cargo test --workspace --locked
	$(PYTHON) fixtures/vectors/generate.py --check
	scripts/mutations --check
	scripts/mutants --check

bench: ## benchmarks; summary in target/bench/summary.json, all runs so far in target/bench/index.html
	scripts/setup test
	cargo build --release --locked -p onetap
	cargo bench --locked -p onetap-trials --bench bars --bench profiles --bench service --bench traces --bench history --no-run
	$(PCSCD) scripts/bench

soak: ## long property tests and fuzzing (SOAK_SECONDS for each fuzz target)
	scripts/setup soak
	scripts/soak

mutations: ## take each defence of the threat model out, see its test fail (ROWS="TM-40 ..." takes out those only, ROWS=--resume goes on)
	scripts/setup test
	$(PCSCD) scripts/mutations $(ROWS)

mutants: ## change the card's core everywhere, see the conformance suite notice (MORE="--re ... --shard 1/8" goes to cargo mutants)
	scripts/setup test
	scripts/setup mutants
	scripts/mutants $(if $(MORE),-- $(MORE))

package: ## the Debian package and the container image, in target/package, tried in a bare Debian
	scripts/setup package
	scripts/package
	scripts/bare package image

docs: ## write the generated parts of docs/ anew
	scripts/setup demo
	UPDATE_DOCS=1 cargo test --locked -p onetap-conformance --test docs
	UPDATE_DOCS=1 cargo test --locked -p onetap-c --test header

deny: ## licences, bans, sources and, with network, advisories
	scripts/setup deny
	scripts/deny

clean: ## remove what was built
	cargo clean
	rm -rf fuzz/target
