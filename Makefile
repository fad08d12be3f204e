# What one does with this tree; `make help` lists it. Recipes run with one Node first on PATH: the machine's own where it is
# new enough, else one that is fetched from npm into .node/ (`node` of npm has no binary under --ignore-scripts, its packages
# for one platform do).
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

NODE_MAJOR := 26
# `make test NODE_VERSION=24.x` fetches that one beside the default; `NODE=/path/to/node` takes what is there.
NODE_VERSION := 26.10.0
NODE_OS := $(shell uname -s | tr A-Z a-z)
NODE_ARCH := $(patsubst x86_64,x64,$(patsubst aarch64,arm64,$(shell uname -m)))
NODE_PACKAGE := node-$(NODE_OS)-$(NODE_ARCH)
ifeq ($(origin NODE_VERSION),command line)
NODE_HOME := .node/$(NODE_VERSION)
else
NODE_HOME := .node
NODE_FOUND := $(shell node -p 'parseInt(process.versions.node) >= $(NODE_MAJOR) ? process.execPath : ""' 2>/dev/null)
endif
FETCHED := $(CURDIR)/$(NODE_HOME)/node_modules/$(NODE_PACKAGE)/bin/node
FETCHED_STAMP := $(NODE_HOME)/.$(NODE_PACKAGE)-$(NODE_VERSION)
NODE := $(or $(NODE_FOUND),$(FETCHED))
NODE_READY := $(if $(filter $(FETCHED),$(NODE)),$(FETCHED_STAMP))
export PATH := $(if $(findstring /,$(NODE)),$(dir $(abspath $(NODE))):)$(PATH)

INSTALLED := node_modules/.installed
BUILT := dist/.built
SOURCES := $(shell find cmd src \( -name '*.ts' -o -name '*.json' -o -name '*.lua' \) ! -name '*.test.ts' 2>/dev/null)
JEST := $(NODE) --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js -c .jestrc.js --rootDir .
HOUSE := $(NODE) test/house/run.ts
FAIRLEAD := MALLOC_ARENA_MAX=1 $(NODE) --max-semi-space-size=16 dist/cmd/fairlead/main.js
FUZZ_RUNS ?= 100000
SCHEDULES ?= 100
IMAGE ?= fairlead:dev
IMAGE_FILE ?= .cache/image/fairlead.tar
T ?=
ARGS ?=

FIXTURES ?= test/fixtures/providers

.PHONY: test-fixtures help demo run setup build generate lock image image-archive test test-unit test-features test-limits test-cluster cluster-up cluster-down lint format bench bench-limits bench-compile bench-cold-start bench-propagation fuzz clean

##@ Use it
demo: $(BUILT) ## Send requests through a built-in gateway and mock models: no key, no network (goes on serving in a terminal)
	@$(FAIRLEAD) demo $(ARGS)

run: $(BUILT) ## Serve a file of routes: make run ARGS="-f route.yaml --watch"
	@$(FAIRLEAD) run $(ARGS)

##@ Build
setup: $(INSTALLED) ## Fetch Node, where the machine's own is too old, and the dependencies
build: $(BUILT) ## Compile to dist/

generate: $(INSTALLED) ## Write what is generated: CRDs, reference
	@$(NODE) cmd/generate/main.ts

lock: $(NODE_READY) ## Bring package-lock.json in line with package.json, for every platform
	@npm install --package-lock-only --loglevel=error
	@$(NODE) test/house/lock.ts --write

image: ## Build the container image: IMAGE=fairlead:dev
	@command -v docker >/dev/null || { echo 'docker is missing: install a container engine with the docker command line' >&2; exit 1; }
	docker build -t $(IMAGE) .

image-archive: $(BUILT) ## The same image as a file, without a container engine: IMAGE=fairlead:dev IMAGE_FILE=.cache/image/fairlead.tar
	@$(NODE) test/image/pack.ts $(IMAGE) $(IMAGE_FILE)

##@ Check
test: $(INSTALLED) ## Everything: types, lint, format, directions, drift, all tests, the demo; ends with the count
	@$(HOUSE)

test-unit: $(INSTALLED) ## The tests beside the sources; a part of them: T=src/compile
	@$(JEST) $(or $(T),src cmd)

test-features: $(INSTALLED) ## One file a user promise, from YAML to HTTP answer; a part of them: T=failover
	@$(JEST) test/features$(addprefix .*,$(T))

test-fixtures: $(INSTALLED) ## Providers' answers through the gateway: FIXTURES=DIR, a folder of recorded or documented ones
	@$(NODE) test/fixtures/run.ts $(FIXTURES)

test-cluster: $(BUILT) ## The tests on a real cluster with pods, made here (as root, with Go); a part of them: T=faults
	@$(NODE) test/controlplane/build.ts
	@$(JEST) --runInBand test/cluster$(addprefix .*,$(T))

cluster-up: $(BUILT) ## Start a real Kubernetes on this machine (as root, with Go), with the image in it: IMAGE=fairlead:dev
	@$(NODE) test/cluster/up.ts $(IMAGE)

cluster-down: $(INSTALLED) ## End it
	@$(NODE) test/cluster/down.ts
test-limits: $(INSTALLED) ## Random schedules over eight pods and one Redis, never above a limit: SCHEDULES=1000
	@SCHEDULES=$(SCHEDULES) $(NODE) --disable-warning=ExperimentalWarning test/limits/run.ts

lint: $(INSTALLED) ## Types, lint, format, import directions, lock file
	@$(HOUSE) types lint format directions text lock

format: $(INSTALLED) ## Rewrite files as the formatter writes them
	@$(NODE) node_modules/oxfmt/bin/oxfmt

##@ Measure
bench: $(BUILT) ## The gateway beside its peers: results in test/bench/results.json
	@test -x test/bench/run || { echo 'test/bench/run is not there yet' >&2; exit 1; }
	@NODE=$(NODE) test/bench/run $(ARGS)

bench-limits: $(INSTALLED) ## What shared limits cost a request, with Redis well, dead, stopped, cut off and slow
	@$(NODE) --disable-warning=ExperimentalWarning test/limits/bench.ts

bench-compile: $(BUILT) ## Compile 5,000 routes, then one edit among them
	@test -x test/bench/compile || { echo 'test/bench/compile is not there yet' >&2; exit 1; }
	@NODE=$(NODE) test/bench/compile $(ARGS)

bench-cold-start: $(BUILT) ## From the start of a gateway's process until it is ready by its snapshot, without an operator
	@$(NODE) test/bench/cold-start.ts $(ARGS)

bench-propagation: $(BUILT) ## From a route's POST to the answer of three gateways, on a real API server (with Go): ROUTES=3000
	@$(NODE) test/controlplane/build.ts
	@NODE=$(NODE) test/bench/propagation/run $(or $(ROUTES),3000) $(EDITS)

fuzz: $(INSTALLED) ## The fuzz and property tests with many runs: FUZZ_RUNS=100000
	@FUZZ_RUNS=$(FUZZ_RUNS) $(JEST) '(fuzz|property)[^/]*\.test\.ts$$'

##@ This tree
clean: ## Remove what was built; keeps Node and the dependencies
	@rm -rf dist coverage .cache

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

$(FETCHED_STAMP):
	@command -v npm >/dev/null || { echo 'npm is missing: install it (Debian: apt-get install npm) and run make again' >&2; exit 1; }
	@echo 'Fetching Node.js $(NODE_VERSION)' >&2
	@mkdir -p $(NODE_HOME)
	@npm install --prefix $(NODE_HOME) --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error $(NODE_PACKAGE)@$(NODE_VERSION) >/dev/null
	@touch $@

# Judged by content, not by time: a checkout that touches the lock file installs nothing.
$(INSTALLED): package-lock.json | $(NODE_READY)
	@command -v npm >/dev/null || { echo 'npm is missing: install it (Debian: apt-get install npm) and run make again' >&2; exit 1; }
	@cmp -s package-lock.json $@ || { echo 'Installing dependencies' >&2; npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; }
	@cp package-lock.json $@

$(BUILT): $(INSTALLED) tsconfig.json tsconfig.build.json $(SOURCES)
	@rm -rf dist
	@$(NODE) cmd/build/main.ts
	@touch $@
