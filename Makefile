# make lab     install and open JupyterLab on a copy of the labs      make test    run the tests
# make lint    style and types                                   make clean   remove what these made
# make wasm    cplab/lab/nursery/networks.wasm from networks.c, by zig
# make card    on a large GPU: measure, and train what is missing at the paper's size
#
# The same random examples as before: make test SEED=<number>
# Another Python: make lab PYTHON=python3.12        Another lab: make lab LAB=02b
# More options for JupyterLab or pytest: ARGS="..."

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
# Two workers, of one thread and up to 2 GB each (three are hardly faster on two cores); a file of
# tests stays in one. On one core: make test PARALLEL=
PARALLEL ?= -n 2 --dist loadfile --no-loadscope-reorder
# Of the examples that hypothesis makes; the line that starts the tests shows it.
SEED ?= $(shell date +%s)
# What installs and opens, on Windows as well. It says at once that nothing is missing.
START := $(PYTHON) start.py --venv $(VENV)

.PHONY: lab test lint wasm card install install-test clean

lab:
	$(START) $(LAB) -- $(ARGS)

install:
	$(START) --install

install-test:
	$(START) --tests

# The tests start some hundred processes of Python; without bytecode each compiles the package anew.
test: install-test
	@$(PY) tests/browser.py --fetch
	PYTHONDONTWRITEBYTECODE= $(PY) -m pytest $(PARALLEL) --hypothesis-seed=$(SEED) $(ARGS)

# The layout of JavaScript is prettier's, where Node is at hand.
PRETTIER := 3.10.1
SCRIPTS := $(wildcard cplab/lab/*/*.js tests/*.js)
# Names are looked for where the files of a page are joined: a name of one is known in all
BROWSER := Blob CustomEvent DecompressionStream HTMLElement ImageData MessageChannel ResizeObserver \
  Response TextDecoder URL URLSearchParams WebAssembly Worker addEventListener atob clearInterval \
  clearTimeout console customElements dispatchEvent document history innerHeight location \
  matchMedia navigator performance postMessage queueMicrotask requestAnimationFrame sessionStorage \
  setInterval setTimeout
NAMES_OF_JAVASCRIPT := npx --yes eslint@9 --no-config-lookup --parser-options sourceType:script \
  --rule 'no-undef: error' \
  $(BROWSER:%=--global %) --global cplabLinks

lint: install-test
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	@if command -v npx >/dev/null; then npx --yes prettier@$(PRETTIER) --check $(SCRIPTS) && \
	  $(PY) tests/joined.py build/scripts && $(NAMES_OF_JAVASCRIPT) build/scripts/*.js; \
	else echo "npx is not here: the layout and the names of JavaScript are not checked"; fi

# Other versions of zig make other bytes. The tests compare them where zig is installed; its 80 MB
# are none of the extras'.
ZIG := 0.17.1
WASM ?= cplab/lab/nursery/networks.wasm

wasm:
	@$(PY) -c 'from importlib.metadata import version; assert version("ziglang") == "$(ZIG)"' 2>/dev/null || \
	  $(PY) -m pip install --quiet ziglang==$(ZIG)
	$(PY) -m ziglang cc -target wasm32-freestanding -msimd128 -O3 -s -nostdlib \
	  -Wl,--no-entry -Wl,--export-memory -Wl,--export=network -Wl,--export=images \
	  -Wl,--export=labels -Wl,--export=order -Wl,--export=sizes -Wl,--export=scores \
	  -o $(WASM) cplab/lab/nursery/networks.c
	chmod 644 $(WASM)

# Stopped, it goes on where it was: docs/release.md.
card: install-test
	$(PY) -m cplab data fetch cifar10
	$(PY) -m pytest -n 0 tests/test_passes.py
	$(PY) -m benchmarks card --device cuda
	$(PY) -m reproduction train figure1-once steps-full-size --device cuda

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
