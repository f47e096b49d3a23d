# Everything that is done to this tree. `make` lists it.
#
# Tools are the `tool` dependencies of tools/go.mod, a module of its own so that
# what they need (buf wants a pre-release protobuf) stays out of ours. `go tool`
# builds each once and keeps it in the build cache; nothing comes from anywhere
# but the Go module proxy.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod

# What make test gives to go test besides -race, as in GOTESTFLAGS='-run Policy'.
GOTESTFLAGS ?=
# How long each fuzz function runs in make fuzz and make soak.
FUZZTIME ?= 10m
# Packages that lint and the Go tests look at.
PKGS ?= ./...

# Generated Go is not ours to format, and hidden folders are caches.
GO_FILES = $$(find . -name '*.go' -not -path '*/.*' -not -path './gen/*')

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: all
all: generate build test ## generate, build, and test everything

.PHONY: build
build: ## build bin/sluice, static and reproducible
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/sluice ./cmd/sluice

.PHONY: demo
demo: ## run the demo: an issuer, models and Sluice on 127.0.0.1
	$(GO) run ./cmd/sluice demo

.PHONY: generate
generate: ## write gen/ anew from proto/, and the pages that are made from code
	$(TOOL) buf generate
	$(GO) run ./config/internal/gendocs docs/CONFIGURATION.md
	$(GO) test -vet=off ./server -run Verdict -update

.PHONY: check-generated
check-generated: ## fail if gen/ or a generated page is not what generates it
	@echo "check-generated: comparing gen/ with what proto/ generates"
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
	$(TOOL) buf generate --output "$$fresh" && \
	if ! diff -r "$$fresh/gen" gen; then \
		echo "check-generated: gen/ is not what proto/ generates; run make generate and commit gen/" >&2; exit 1; \
	fi
	@echo "check-generated: comparing docs/CONFIGURATION.md with the configuration's types"
	@fresh=$$(mktemp) && trap 'rm -f "$$fresh"' EXIT && $(GO) run ./config/internal/gendocs "$$fresh" && \
	if ! diff "$$fresh" docs/CONFIGURATION.md; then \
		echo "check-generated: docs/CONFIGURATION.md is out of date; run make generate" >&2; exit 1; \
	fi
	@if stray=$$(git ls-files --others -- gen 2>/dev/null) && [[ -n $$stray ]]; then \
		echo "check-generated: in gen/ but not in git: $$stray" >&2; exit 1; \
	fi

# One build tag more than the build has, so that soak tests are checked as well.
# What is generated is vetted but its style is not ours.
.PHONY: lint
lint: ## go vet, staticcheck, gofumpt, buf lint, buf format
	$(GO) vet -tags=soak $(PKGS)
	$(TOOL) staticcheck -tags=soak $$($(GO) list -tags=soak $(PKGS) | grep -v '/gen/')
	@echo "gofumpt -l"
	@files=$$($(TOOL) gofumpt -l $(GO_FILES)) && if [[ -n $$files ]]; then \
		echo "lint: not formatted, run make format: $$files" >&2; exit 1; \
	fi
	$(TOOL) buf lint
	$(TOOL) buf format -d --exit-code

.PHONY: format
format: ## format Go and protobuf sources
	$(TOOL) gofumpt -w $(GO_FILES)
	$(TOOL) buf format -w

.PHONY: test
test: ## everything: lint, check-generated, Go tests with -race, e2e, bench-smoke
	$(MAKE) lint
	$(MAKE) check-generated
	$(MAKE) test-go
	$(MAKE) e2e
	$(MAKE) bench-smoke

# The race detector needs a C compiler, which go test -race does not bring.
.PHONY: test-go
test-go: ## Go tests with -race
	@race=-race; \
	if [[ $$($(GO) env CGO_ENABLED) != 1 ]]; then \
		race=; \
		echo "################ LEFT OUT: the race detector, it needs a C compiler (gcc or clang)" >&2; \
		if [[ $${CI:-} == true ]]; then echo "test-go: with CI=true that is a failure" >&2; exit 1; fi; \
	fi; \
	set -x; $(GO) test $$race -vet=off -timeout=10m $(GOTESTFLAGS) $(PKGS)

.PHONY: e2e
e2e: ## unchanged clients and a real Triton, directly and through Sluice
	@if [[ ! -x e2e/run.sh ]]; then echo "e2e: e2e/run.sh is missing or cannot be run" >&2; exit 1; fi
	e2e/run.sh

.PHONY: e2e-vllm
e2e-vllm: ## the language models' tests with a real vLLM too (5.9 GB once, minutes)
	E2E_VLLM_PYTHON=$$(e2e/llm/install-vllm.sh) E2E_TIMEOUT=1800 e2e/run.sh --timeout=900 test_llm.py

.PHONY: bench
bench: ## benchmarks beside peers (long; see docs/PERFORMANCE.md)
	bench/install.sh
	bench/run.sh

.PHONY: bench-smoke
bench-smoke: ## only whether the benchmarks run
	bench/install.sh
	bench/run.sh -smoke

.PHONY: bench-masking
bench-masking: ## detectors beside Presidio: accuracy, speed (see docs/MASKING.md)
	bench/masking/install.sh
	bench/masking/run.sh

# go test fuzzes one function of one package at a time.
.PHONY: fuzz
fuzz: ## every fuzz function for FUZZTIME (10m) each
	@found=0; \
	while IFS=: read -r file func; do \
		found=1; echo "fuzz: $$func in $$(dirname "$$file") for $(FUZZTIME)"; \
		$(GO) test -vet=off -run='^$$' -fuzz="^$$func\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=3x -timeout=0 "$$(dirname "$$file")" </dev/null; \
	done < <(find . -name '*_test.go' -not -path '*/.*' -exec grep -HoE '^func Fuzz[A-Za-z0-9_]*' {} + | sed 's/:func /:/' | sort); \
	if [[ $$found == 0 ]]; then echo "fuzz: no fuzz function found" >&2; exit 1; fi

.PHONY: soak
soak: fuzz ## long fuzzing, then the tests tagged soak
	SOAK_STREAMS=5000 $(GO) test -race -vet=off -tags=soak -timeout=0 $(PKGS)
	$(MAKE) soak-masking

# Without the race detector, which had its share above: it would take hours.
.PHONY: soak-masking
soak-masking: ## 100,000 masked streams over gRPC: is anything left? (see docs/MASKING.md)
	$(GO) test -vet=off -tags=soak -timeout=0 -count=1 -v -run MaskedStreamsSoak ./server

.PHONY: clean
clean: ## remove what was built, the e2e environment included
	rm -rf bin dist .tools .venv
