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
FAIRLEAD := MALLOC_ARENA_MAX=1 $(NODE) --max-semi-space-size=8 dist/cmd/fairlead/main.js
FUZZ_RUNS ?= 100000
SCHEDULES ?= 100
IMAGE ?= fairlead:dev
IMAGE_FILE ?= .cache/image/fairlead.tar
T ?=
ARGS ?=

FIXTURES ?= test/fixtures/providers

.PHONY: test-fixtures test-clients help demo run setup build generate models lock image image-archive test test-unit test-features test-limits test-cluster test-cluster-outage cluster-up cluster-down lint format bench bench-limits bench-translation bench-compile bench-cold-start bench-propagation fuzz clean

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

# Not in npm's registry, so beside `generate`: whoever wants a newer list names its version here.
LITELLM_VERSION := 1.110.2
models: $(INSTALLED) ## Write the list of what models can do, from the package that keeps it (with python3 and pip)
	@rm -rf .cache/litellm && mkdir -p .cache/litellm
	@python3 -m pip download --quiet --no-deps --dest .cache/litellm litellm==$(LITELLM_VERSION)
	@python3 -m zipfile -e .cache/litellm/*.whl .cache/litellm
	@$(NODE) cmd/generate/models.ts .cache/litellm/litellm/model_prices_and_context_window_backup.json $(LITELLM_VERSION)

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

test-cluster: $(BUILT) ## On a real cluster with pods, made here (as root, with Go): T=faults; or on yours: KUBECONFIG=… FAIRLEAD_IMAGE=…
	@$(NODE) test/controlplane/build.ts
	@FAIRLEAD_TEST_KUBECONFIG='$(KUBECONFIG)' $(JEST) --runInBand test/cluster$(if $(KUBECONFIG),/given,$(addprefix .*,$(T)))

test-clients: $(INSTALLED) ## Libraries and agents of others over every kind of provider, and our requests by the providers' SDKs; fetches 1.6 GB once (with Python)
	@$(NODE) test/clients/install.ts
	@$(JEST) test/clients

test-cluster-outage: $(BUILT) ## The API server away for five minutes, while the gateways' containers are restarted one by one
	@FAULT_OUTAGE_SECONDS=300 $(JEST) --runInBand test/cluster/faults --testNamePattern='API server is away'

cluster-up: $(BUILT) ## Start a real Kubernetes on this machine (as root, with Go), with the image in it: IMAGE=fairlead:dev
	@$(NODE) test/cluster/up.ts $(IMAGE)

cluster-down: $(INSTALLED) ## End it
	@$(NODE) test/cluster/down.ts

.PHONY: test-limits-faults
test-limits-faults: $(INSTALLED) ## Whole gateways while Redis is dead, stopped, silent or slow for half a minute: no request fails
	@FAULT_MS=30000 $(JEST) test/features/limits-faults

test-limits: $(INSTALLED) ## Random schedules over eight pods, limiters or whole gateways, and one Redis, never above a limit: SCHEDULES=1000
	@SCHEDULES=$(SCHEDULES) $(NODE) --disable-warning=ExperimentalWarning test/limits/run.ts

lint: $(INSTALLED) ## Types, lint, format, import directions, lock file
	@$(HOUSE) types lint format directions text lock

format: $(INSTALLED) ## Rewrite files as the formatter writes them
	@$(NODE) node_modules/oxfmt/bin/oxfmt

##@ Measure
bench: $(BUILT) ## The gateway beside its peers: results in test/bench/results.json
	@test -x test/bench/run || { echo 'test/bench/run is not there yet' >&2; exit 1; }
	@NODE=$(NODE) test/bench/run $(ARGS)

bench-limits: $(BUILT) ## What shared limits cost a request, with Redis well, dead, stopped, cut off and slow: ARGS="cost faults health"
	@$(NODE) --disable-warning=ExperimentalWarning test/bench/limits/main.ts $(ARGS)

.PHONY: bench-faults
bench-faults: $(BUILT) ## What a client waits where the first target fails before its first output, by kind of fault: REQUESTS=1000
	@$(NODE) test/bench/fault-latency.ts $(or $(REQUESTS),100)

bench-translation: $(INSTALLED) ## CPU of a translated request and event beside one that passes, and a body of 100 KB on the loop
	@$(NODE) test/bench/translation.ts

bench-compile: $(BUILT) ## Compile 5,000 routes, then one edit among them
	@test -x test/bench/compile || { echo 'test/bench/compile is not there yet' >&2; exit 1; }
	@NODE=$(NODE) test/bench/compile $(ARGS)

.PHONY: bench-edits soak-operator
bench-edits: $(BUILT) ## A thousand edits of routes that serve, under traffic: none may fail a request: EDITS=1000
	@$(NODE) test/controlplane/build.ts
	@$(NODE) --disable-warning=ExperimentalWarning test/bench/propagation/edits.ts $(EDITS)

soak-operator: $(BUILT) ## Memory of operator and gateways with 5,000 routes that are edited all the time: MINUTES=30
	@$(NODE) test/controlplane/build.ts
	@$(NODE) --disable-warning=ExperimentalWarning test/bench/propagation/soak.ts $(or $(MINUTES),30) $(ROUTES)

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
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

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
