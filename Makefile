# What a person types. `make` alone tells what there is; CONTRIBUTING.md tells more.

export CGO_ENABLED ?= 0
version := $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null)
ldflags := -s -w $(if $(version),-X main.version=$(version))
tool    := CGO_ENABLED=0 go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help

help: ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/writ, one static binary
	go build -trimpath -ldflags '$(ldflags)' -o bin/writ ./cmd/writ

demo: build ## the whole flow once, narrated: register, get a token, call an API, be refused
	@bin/writ demo

setup: ## install from the system's packages what the tests need and is missing
	@scripts/setup

test: setup ## everything: formatting, vet, all tests with the race detector on both databases, a moment of fuzzing
	@scripts/test

lint: ## staticcheck, golangci-lint, govulncheck
	@scripts/lint

# What bench measures, in its own words: go run ./bench -help.
bench_flags = $(if $(QUICK),-quick) $(if $(ONLY),-only '$(ONLY)') $(if $(PEER_URL),-peer-url '$(PEER_URL)') \
	$(if $(PEER_CLIENT_ID),-peer-client-id '$(PEER_CLIENT_ID)') $(if $(PEER_FORM),-peer-form '$(PEER_FORM)') $(if $(PEER_PID),-peer-pid '$(PEER_PID)') \
	$(if $(QUICK)$(ONLY)$(PEER_URL),,-document docs/performance.md)

bench: ## measure Writ against its limit, and write docs/performance.md; QUICK=1 for a look, ONLY=es256 for some rows, PEER_URL=… for others
	@mkdir -p bin/bench
	go build -o bin/bench/bench ./bench
	@bin/bench/bench $(bench_flags)

fuzz: ## fuzz every target for FUZZTIME (a minute unless said otherwise)
	@FUZZTIME=$${FUZZTIME:-1m} scripts/fuzz

drills: setup ## kill, starve, cut off and overload a running server, and measure what callers notice; as root, 12 minutes
	@scripts/drills

chart: ## lint and render the Helm chart, and hold it to Kubernetes' types; the first time helm is compiled, which takes minutes
	cd deploy/helm/check && go test -count=1 .

cover: setup ## which statements the tests reach, package by package
	CGO_ENABLED=0 go test -coverpkg=./... -coverprofile=bin/cover.out ./... >/dev/null; go tool cover -func=bin/cover.out | tail -1

format: ## gofumpt over the whole tree
	$(tool) gofumpt -w $$(git -c safe.directory='*' ls-files '*.go')

clean: ## remove what the other targets made
	rm -rf bin .writ-dev

.PHONY: help build demo setup test lint bench fuzz drills chart cover format clean
