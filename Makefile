PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 12

# Editable, so that a change in Python needs no new install; a change in the kernels rebuilds them.
$(VENV)/installed: pyproject.toml setup.py pockettts/_ops.pyx $(wildcard pockettts/kernels/*.h)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

build: $(VENV)/installed  ## compile the kernels and install into .venv

test: build  ## run the tests
	$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile

test-install: build  ## run the README's first command in a clone, and build the packages
	$(BIN)/python -m pytest -q -m install tests/test_install.py

test-arm64: build  ## run the kernel tests on ARM64, under qemu-user
	scripts/test_arm64.sh

test-emulated: build  ## run the kernel tests with the shapes of AVX-512 and AMX, on any x86-64 CPU with AVX2
	scripts/test_emulated.sh

test-bochs: build  ## run the kernel tests in the builds for AVX-512 and AMX, in the emulator Bochs
	scripts/test_bochs.sh

lint: $(VENV)/lint-installed  ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/lint-installed: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[lint]'
	touch $@

wheels:  ## build wheels for Linux (in containers) or macOS, with cibuildwheel
	$(PYTHON) -m pip install --quiet cibuildwheel
	$(PYTHON) -m cibuildwheel --output-dir dist

wheel: build  ## build one wheel, for this machine and this Python
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

parity: build  ## compare every stage with the official package (ORACLE=its Python; else one is set up)
	$(BIN)/python scripts/parity.py $(if $(ORACLE),--oracle $(ORACLE))

bench: build  ## measure beside the official package (AGAINST=onnxruntime: that; ORACLE as above)
	$(BIN)/python scripts/bench.py --against $(or $(AGAINST),official) $(if $(ORACLE),--oracle $(ORACLE))

soak: build  ## load and faults against the server
	$(BIN)/python scripts/soak.py

clean:  ## remove all that was built
	rm -rf build *.egg-info $(VENV) pockettts/*.so pockettts/*.c .pytest_cache .ruff_cache

.PHONY: help build test test-install test-arm64 test-emulated test-bochs lint wheel wheels parity bench soak clean
