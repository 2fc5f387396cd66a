# SPDX-License-Identifier: Apache-2.0
#
# For people; CMake and its presets do the work. Recipes exec what they run, so that ^C and a TERM reach it directly.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

# What the chaos suite is told: make chaos FILTER='retry.*' SEEDS=1000 JOBS=4, or WORLD=sim SEED=17
suite_options = $(if $(WORLD),--world '$(WORLD)') $(if $(FILTER),--filter '$(FILTER)') \
	$(if $(SEEDS),--seeds '$(SEEDS)') $(if $(SEED),--seed '$(SEED)') $(if $(JOBS),--jobs '$(JOBS)') \
	$(if $(JUNIT),--junit '$(JUNIT)') $(if $(JSON),--json '$(JSON)')
# What ctest is told: make test JOBS=4 FILTER=policy (here a regular expression over the tests' names)
ctest_options = -j '$(or $(JOBS),$(shell nproc))' $(if $(FILTER),-R '$(FILTER)')

prefix ?= /usr/local
FUZZ_SECONDS ?= 20
RUNS ?= 10

.PHONY: help
help: ## print this text
	@echo 'make TARGET [FILTER=pattern] [JOBS=n] [SEED=n] [SEEDS=n] [WORLD=live|sim|both]'
	@sed -n 's/^\([a-z ]*\):.*## /\1|/p' Makefile | while IFS='|' read -r target text; do \
		printf '  %-13s %s\n' "$$target" "$$text"; done

.PHONY: chaos
chaos: ## install what is missing, build, run the chaos suite in both worlds, print the verdict
	@scripts/deps.sh
	@scripts/build.sh release duress_program
	@exec build/release/duress suite $(suite_options)

.PHONY: test
test: release ## install what is missing, build, run all tests
	@exec ctest --preset release $(ctest_options)

.PHONY: asan tsan
asan tsan: ## tests with sanitizers: all (address, undefined), those with threads (thread)
	@scripts/deps.sh
	@scripts/build.sh $@
	@exec ctest --preset $@ $(ctest_options)

.PHONY: bench
bench: ## measure: build/release/bench.jsonl, a line of JSON a figure
	@scripts/deps.sh build test bench
	@scripts/build.sh release
	@exec bench/run.sh build/release $(if $(FILTER),'$(FILTER)')

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZ_SECONDS (20)
	@scripts/deps.sh build dev
	@exec scripts/fuzz.sh '$(FUZZ_SECONDS)' $(if $(FILTER),'$(FILTER)')

.PHONY: coverage
coverage: ## run all tests and print the line coverage of each file and room of src/
	@scripts/deps.sh
	@exec scripts/coverage.sh

.PHONY: mutants
mutants: ## break the code in many ways, one at a time: the suite must notice each
	@scripts/deps.sh build test mutants
	@tests/mutants/run.sh
	@exec tests/mutants/hollow.sh

.PHONY: docs
docs: ## make the reference of the headers: docs/api/html/index.html
	@scripts/deps.sh docs
	@exec scripts/docs.sh docs/api

.PHONY: load
load: ## RUNS (10) live runs of the suite beside a busy machine
	@scripts/deps.sh build test load
	@scripts/build.sh release duress_program
	@exec scripts/load.sh '$(RUNS)'

.PHONY: format lint
format: ## format every C file in place
	@scripts/deps.sh dev
	@exec scripts/format.sh
lint: ## check format, style and clang-tidy; change nothing
	@scripts/deps.sh build test dev
	@scripts/format.sh --check
	@scripts/check-style.sh
	@exec scripts/tidy.sh

.PHONY: release debug
release debug: ## build only
	@scripts/deps.sh
	@exec scripts/build.sh $@

.PHONY: install
install: ## install below DESTDIR and prefix (/usr/local)
	@scripts/deps.sh
	@DURESS_CMAKE='-DCMAKE_INSTALL_PREFIX=$(prefix)' scripts/build.sh release
	@DESTDIR='$(DESTDIR)' cmake --install build/release
	@# The loader finds what is new in /usr/local/lib only after this; a staged or a user's own prefix needs none.
	@[ -n '$(DESTDIR)' ] || [ "$$(id -u)" -ne 0 ] || PATH="$$PATH:/usr/sbin:/sbin" ldconfig

.PHONY: clean
clean: ## remove build/
	@rm -rf build
