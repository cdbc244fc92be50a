# Everything happens in .venv, which is made on the first call: see tools/bootstrap.py.
PYTHON ?= python3
SANITIZE ?=
CROSS ?=
comma := ,
NATIVE_BUILD = build/native-test$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(CROSS),-$(CROSS))
BIN := .venv/bin
NATIVE := $(shell find native -name '*.[ch]pp')
BUILD_INPUTS := pyproject.toml CMakeLists.txt $(shell find native -name CMakeLists.txt) $(NATIVE)

.PHONY: help run test test-hosts native-test sanitize lint docs format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

run: .venv/.installed ## train a network on the bundled digits, and keep the model and its history
	$(BIN)/fallline train digits --out digits.fallline --history digits.history.csv

test: run .venv/.test ## the same as run, then the whole test suite
	$(BIN)/pytest

test-hosts: .venv/.installed .venv/.test ## the tests of several processes that train together
	$(BIN)/pytest -m hosts

native-test: .venv/.installed ## the C++ tests; SANITIZE=address,undefined or thread to look for more; CROSS=aarch64 for Arm
	$(BIN)/cmake -S . -B $(NATIVE_BUILD) -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  -DCMAKE_BUILD_TYPE=Release -DFALLLINE_PYTHON=OFF -DFALLLINE_TESTS=ON -DFALLLINE_SANITIZE=$(SANITIZE) \
	  $(if $(CROSS),-DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/native/$(CROSS).cmake)
	$(BIN)/cmake --build $(NATIVE_BUILD)
	$(BIN)/ctest --test-dir $(NATIVE_BUILD)/native --no-tests=error --output-on-failure

sanitize: ## the C++ tests under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer
	$(MAKE) native-test SANITIZE=address,undefined
	$(MAKE) native-test SANITIZE=thread

lint: .venv/.installed .venv/.lint ## style, types and file lengths
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)
	$(BIN)/python tools/file_lengths.py

docs: .venv/.installed .venv/.docs ## the documentation as a site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: .venv/.lint ## put the sources into the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(NATIVE)

bench: .venv/.installed ## check, then time against the peers that are installed (make .venv/.bench installs most)
	$(BIN)/python -m benchmarks

clean: ## remove all that was built, .venv too
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis digits.fallline digits.history.csv

.venv/.installed: $(BUILD_INPUTS) tools/bootstrap.py
	@$(PYTHON) tools/bootstrap.py
	@touch $@

# The dependency groups of the same names in pyproject.toml.
.venv/.test .venv/.lint .venv/.docs .venv/.bench: .venv/.%: pyproject.toml | .venv/.installed
	@$(PYTHON) tools/bootstrap.py $*
	@touch $@
