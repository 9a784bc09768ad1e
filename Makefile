SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:

# A checkout that git refuses to read, or that is no checkout, builds without a commit in it.
VCS := $(shell git rev-parse --git-dir >/dev/null 2>&1 || echo -buildvcs=false)

FUZZTIME ?= 10s
RUN ?= .

##@ Use

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## start saaf with demo data
	go run ./cmd/saaf demo

.PHONY: build
build: ## build the static binary bin/saaf
	CGO_ENABLED=0 go build $(VCS) -trimpath -o bin/saaf ./cmd/saaf

##@ Check

.PHONY: setup
setup: ## install what the tests need and is missing
	@.ci/setup

.PHONY: test
test: setup format vet modern lint race once build ## everything CI runs

.PHONY: format vet modern lint race once

format:
	@echo 'gofmt -l .'; files=$$(gofmt -l .); \
	[ -z "$$files" ] || { printf '%s\n' "$$files" 'run "make fmt"'; exit 1; }

vet:
	go vet ./...

modern: # newer forms of the language, where the code uses older ones
	go fix -diff ./...

lint:
	go tool -modfile=tools/go.mod staticcheck ./...

race: # fuzz targets run their corpus
	CGO_ENABLED=1 go test -race ./...

once: # every benchmark once and small, so that they keep working
	@echo 'go test -bench . -benchtime 1x ./...'; \
	out=$$(SAAF_BENCH_SMALL=1 go test -run '^$$' -bench . -benchtime 1x ./... 2>&1) || { printf '%s\n' "$$out"; exit 1; }

##@ Check more, when it matters

.PHONY: fuzz
fuzz: ## run every fuzz target for 10 s each (FUZZTIME=1m for longer)
	@go test -list '^Fuzz' ./... | \
	awk '/^Fuzz/ { name[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, name[i]; n = 0 }' | \
	while read -r package target; do \
		echo "$$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
	done

.PHONY: long
long: ## run the crash and endurance tests at full length (RUN=regexp for some of them)
	SAAF_LONG=1 CGO_ENABLED=1 go test -race -count=1 -timeout 2h -run '$(RUN)' ./...

.PHONY: bench
bench: ## measure, at full size (RUN=regexp for some of them)
	go test -run '^$$' -bench '$(RUN)' -benchmem -timeout 2h ./...

##@ Change

.PHONY: fmt
fmt: ## format the code and use the newer forms of the language
	gofmt -w .
	go fix ./...

.PHONY: tidy
tidy: ## bring go.mod and go.sum in line with the imports
	go mod tidy
	cd tools && go mod tidy
