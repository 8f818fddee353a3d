# `make` alone tells what there is. Everything but Go itself is installed or
# started by the commands that need it.

.DEFAULT_GOAL := help
.SUFFIXES:

# Where Go's own installer puts it, for shells that have not been told.
export PATH := $(PATH):/usr/local/go/bin

PACKAGES  ?= ./...
TESTFLAGS ?=
# Of one package's tests, on a machine that is busy with other things.
TIMEOUT   ?= 30m
FUZZTIME  ?= 10s
# How often tests that failed are run again, by themselves, before that counts. What passes only then is named in the end.
RERUNS    ?= 0
# What the build is of, as `agentidp version` tells it.
COMMIT    ?= $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null)
# How long chaos lasts on an engine, from what number it is thrown (by default another each time), and on which engine:
# postgres, esdb, or by default one after the other.
CHAOS_DURATION ?= 5m
CHAOS_SEED     ?= $(shell date +%s)
CHAOS_ENGINE   ?=
# How many rounds are run in virtual time, and from what seed on.
ROUNDS      ?= 1000000
ROUNDS_SEED ?= 0
SCAVENGE_ROUNDS ?= 200
# Tests in virtual time, which look for no race: make test, with its race detector, takes few rounds of them.
VIRTUAL = ^(TestRounds|TestRoundsFindMistakes|TestScavengeRounds|TestScavengeRoundsFindTheMistake|TestARoundReplays|TestFollowersSeeEveryEventOnce|TestAHeadIsNeverFromThePast|TestABarrierHidesNothing|TestFrozenLeaderRoundsFindTheMistake)$$

export GORACE := suppressions=$(CURDIR)/tools/race-suppressions.txt
WITH_SERVICES := bin/withservices --
PROMTOOL := tools/promtool.sh
GOTESTSUM := bin/gotestsum --format $(if $(filter -v,$(TESTFLAGS)),standard-verbose,pkgname) --format-hide-empty-pkg --hide-summary=skipped \
	--jsonfile-timing-events bin/test-times.json --packages "$(PACKAGES)" \
	--rerun-fails=$(RERUNS) --rerun-fails-max-failures=3 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race

.PHONY: help
help: ## Show this list
	@printf 'AgentIdP: an identity provider for AI agents\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24
	@printf '\nTests of one package: make test PACKAGES=./ledger TESTFLAGS="-run TestName -v"\n'

# Recipes that start something exec it, so that it is make's own child: a
# Ctrl-C or SIGTERM reaches it, and make waits until it has cleaned up.

# Tests in which nothing happens at once, and which take long with the race detector: see internal/rounds.
NO_RACE = ^(FuzzBundleFile|TestABrokenBundleHasNoHistory|TestABundleTellsWhatTheLedgerTells|TestAVerificationOfABundleThatIsCutOffFindsNothing|TestAVerificationThatIsCutOffFindsNothing|TestHostileBundlesAreRefusedInLittleMemory|TestTokensOfABundleWithTooManyCredentialsAreNotHeldAgainstThem|TestVerifyingWhatIsNewFindsWhatVerifyingAllFinds|TestWhatWasDoneIsFound|TestWhatWasDoneIsFoundInAnExport)$$

.PHONY: run
run: build ## Run everything on this machine: PostgreSQL, Redis, the server on PORT (3000)
	@exec bin/agentidp-dev dev

.PHONY: demo
demo: build ## Tell the whole journey on a live server, and catch a forger in the end
	@exec bin/agentidp-dev demo

.PHONY: test
test: bin/withservices bin/gotestsum c-compiler curl ## Run all tests, against a private PostgreSQL and Redis
	@race=-race; \
	command -v cc >/dev/null 2>&1 || { race=; echo >&2 '*** No C compiler: the tests run WITHOUT the race detector. ***'; }; \
	for tool in npm mvn; do command -v $$tool >/dev/null 2>&1 || \
		echo >&2 "*** No $$tool: client libraries that need it are NOT tested here; make test-foreign installs it. ***"; done; \
	exec $(WITH_SERVICES) $(GOTESTSUM) -- $$race -timeout $(TIMEOUT) $(TESTFLAGS)
	@$(if $(filter ./...,$(PACKAGES)),exec $(WITH_SERVICES) go test -run '$(NO_RACE)' -timeout $(TIMEOUT) ./replay/bundle ./replay/verify,:)

.PHONY: test-long
test-long: export LONG_TESTS = 1
test-long: test ## Run all tests, each as often as it means to: with the race detector make test tries a fifth as often

.PHONY: test-race
test-race: bin/withservices bin/gotestsum c-compiler curl ## The same, but fail where the race detector cannot run
	@command -v cc >/dev/null 2>&1 || { echo >&2 'The race detector needs a C compiler: install gcc.'; exit 1; }
	@exec $(WITH_SERVICES) $(GOTESTSUM) -- -race -timeout $(TIMEOUT) $(TESTFLAGS)

.PHONY: slowest
slowest: bin/gotestsum ## List the tests of the last run that took over five seconds
	@bin/gotestsum tool slowest --threshold 5s --jsonfile bin/test-times.json

.PHONY: test-foreign
test-foreign: bin/withservices foreign-tools ## Run client libraries of other people (Node, Go, Java), pinned, against a live server
	@exec $(WITH_SERVICES) env TEST_FOREIGN=required go test -count=1 -v -timeout $(TIMEOUT) $(TESTFLAGS) ./test/foreign

.PHONY: test-alerts
test-alerts: go ## Check the alert rules with Prometheus's own promtool: each comes when it should, and only then
	$(PROMTOOL) check rules --lint=all --lint-fatal deploy/alerts.yaml
	$(PROMTOOL) test rules deploy/alerts.test.yaml

.PHONY: fuzz
fuzz: go ## Fuzz every fuzz target for FUZZTIME (10s) each
	@targets=$$(go test -list '^Fuzz' $(PACKAGES)) || { echo "$$targets"; exit 1; }; \
	echo "$$targets" | awk '/^Fuzz/ {names = names " " $$1} /^ok/ {n = split(names, name, " "); for (i = 1; i <= n; i++) print $$2, name[i]; names = ""}' | \
	while read -r package target; do \
		echo "$$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null || exit 1; \
	done

.PHONY: test-esdb
test-esdb: bin/withservices ## Ask whether an EventStoreDB can keep a ledger (ESDB_URL=esdb://…, STORE_FAULTS=PROGRAM); without ESDB_URL the tests' own, in short
	@go build -o bin/qualify ./internal/qualify
	@exec $(WITH_SERVICES) bin/qualify

.PHONY: test-pg
test-pg: bin/withservices ## Run what depends on PostgreSQL with each version from 15 to 18 (POSTGRES_VERSIONS="17"), and with PgBouncer
	@exec bash tools/test-pg.sh

.PHONY: test-rolling
test-rolling: bin/withservices ## Run servers of an earlier commit (ROLLING_FROM) and of this one together, as during a rolling upgrade
	@exec bash tools/test-rolling.sh

.PHONY: chaos
chaos: bin/withservices c-compiler ## Kill, freeze and cut off three nodes under load for CHAOS_DURATION (5m) on each engine, then check every promise
	@exec $(WITH_SERVICES) env CHAOS_DURATION=$(CHAOS_DURATION) CHAOS_SEED=$(CHAOS_SEED) CHAOS_ENGINE=$(CHAOS_ENGINE) \
		go test $$(command -v cc >/dev/null 2>&1 && echo -race) -count=1 -v -timeout 0 -run '^TestChaos$$' ./test/system

.PHONY: rounds
rounds: go ## Run ROUNDS (1000000) schedules of faults on a modelled EventStoreDB, in virtual time, from ROUNDS_SEED (0) on
	@exec env ROUNDS=$(ROUNDS) SCAVENGE_ROUNDS=$(SCAVENGE_ROUNDS) ROUNDS_SEED=$(ROUNDS_SEED) \
		go test -count=1 -v -timeout 0 -run '$(VIRTUAL)' ./eventstore/esdb

.PHONY: bench
bench: go ## Measure, and print each figure beside what bounds it
	@go build -o bin/bench ./test/bench
	@exec bin/bench

# Too many dependencies for tools/go.mod. Another version finds other things: see .golangci.yml.
GOLANGCI_LINT := v2.15.0
bin/golangci-lint: Makefile | go
	@echo 'building golangci-lint $(GOLANGCI_LINT)'; GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT) && touch $@

.PHONY: lint
lint: go bin/golangci-lint ## Check format, vet, a whole set of linters and the go.mod files
	@unformatted=$$(gofmt -l .) || exit 1; \
	test -z "$$unformatted" || { printf >&2 'Not formatted, run gofmt -w on:\n%s\n' "$$unformatted"; exit 1; }
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...
	bin/golangci-lint run ./...
	go mod tidy -diff
	cd tools && go mod tidy -diff
	cd test/foreign/go && go mod tidy -diff

.PHONY: vulncheck
vulncheck: go ## Look for known vulnerabilities in what the product is built of
	@tools/vulncheck.sh

.PHONY: generate
generate: go ## Make the generated code anew
	go generate ./...

.PHONY: generate-check
generate-check: go ## Check that the generated code is what the sources say
	@before=$$(mktemp -d) && trap 'rm -rf "$$before"' EXIT && \
	cp -R api/gen "$$before" && cp -R sdk/go "$$before" && go generate ./... && \
	diff -ru "$$before/gen" api/gen && diff -ru "$$before/go" sdk/go || { \
		echo >&2 'api/gen or sdk/go was stale; it is made anew now: commit it.'; exit 1; }

.PHONY: build
build: go ## Build bin/agentidp, and bin/agentidp-dev to try it with
	@go build -ldflags "-X github.com/sentryagent/agentidp/internal/command.commit=$(COMMIT)" -o bin/ ./cmd/agentidp ./cmd/agentidp-dev

.PHONY: clean
clean: ## Remove what was built and the data of make run
	@if [ -d .agentidp ] && command -v flock >/dev/null 2>&1 && [ -f .agentidp/lock ] && ! flock -n .agentidp/lock true; then \
		echo >&2 'make run is running: stop it first.'; exit 1; fi
	@data=$$(cat .agentidp/data-location 2>/dev/null); \
	case $$data in /var/lib/agentidp-dev/*) rm -rf "$$data";; esac
	rm -rf bin .agentidp

# What the targets above lean on.

.PHONY: go
go:
	@command -v go >/dev/null 2>&1 || { echo >&2 'Go is not installed: get it from https://go.dev/dl/ (go.mod says which version).'; exit 1; }

.PHONY: bin/withservices
bin/withservices: go
	@go build -o $@ ./internal/devservices/cmd/withservices

.PHONY: bin/gotestsum
bin/gotestsum: go
	@go build -modfile=tools/go.mod -o $@ gotest.tools/gotestsum

# The race detector is built with cgo.
.PHONY: c-compiler
c-compiler:
	@command -v cc >/dev/null 2>&1 || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
		echo >&2 'installing gcc, for the race detector' && \
		DEBIAN_FRONTEND=noninteractive apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends gcc libc6-dev >/dev/null; } || true

# What the README tells its readers to type is typed by a test.
.PHONY: curl
curl:
	@command -v curl >/dev/null 2>&1 || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
		echo >&2 'installing curl, which the README is tested with' && \
		DEBIAN_FRONTEND=noninteractive apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends curl >/dev/null; } || true

# What the client libraries of test/foreign run on. Node.js itself comes pinned with them, npm fetches it.
.PHONY: foreign-tools
foreign-tools:
	@for tool in npm mvn javac; do command -v $$tool >/dev/null 2>&1 || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
		echo >&2 'installing npm, a JDK and Maven, for client libraries of other people' && \
		DEBIAN_FRONTEND=noninteractive apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends npm default-jdk-headless maven >/dev/null; \
		break; }; done || true
