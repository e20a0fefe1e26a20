# make lab     install and open JupyterLab on a copy of the labs      make test    run every test
# make lint    style and types                                   make clean   remove what these made
# make wasm    cplab/lab/networks.wasm from networks.c, by zig
# make card    on a large GPU: measure, and train what is missing at the paper's size
#
# The same random examples as before: make test SEED=<number>
# Another Python: make lab PYTHON=python3.12        Another lab: make lab LAB=going-further/<name>.ipynb
# More options for JupyterLab or pytest: ARGS="..."

PYTHON ?= python3
VENV ?= .venv
LAB ?= $(notdir $(firstword $(sort $(wildcard labs/*.ipynb))))
PY := $(VENV)/bin/python
# Two workers, of one thread and up to 2 GB each (three are hardly faster on two cores); a file of
# tests stays in one. On one core: make test PARALLEL=
PARALLEL ?= -n 2 --dist loadfile --no-loadscope-reorder
# Of the examples that hypothesis makes; the line that starts the tests shows it.
SEED ?= $(shell date +%s)
# uv takes the build of torch that fits the machine, which on Linux without a GPU spares several GB;
# it comes into $(VENV) where it is not at hand. To have pip and its build of torch: make lab UV=
UV ?= $(or $(shell command -v uv 2>/dev/null),$(VENV)/bin/uv)
# JupyterLab refuses to run as root, which is what a container's user mostly is, unless told.
ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: lab test lint wasm card install install-test clean

# The labs are opened as copies in cplab-labs, which git does not see, so that what you write there
# never stands in the way of git pull; a file that is there already stays as it is.
# The lab goes in as the start page and not as a file, so that the printed URL leads to it as well.
lab: install
	$(PY) -m cplab lab --copy
	$(PY) -m jupyterlab --ServerApp.ip=127.0.0.1 --LabApp.default_url=/lab/tree/cplab-labs/$(LAB) $(ROOT) $(ARGS)

# The tests start some hundred processes of Python; without bytecode each compiles the package anew.
test: install-test
	@$(PY) tests/browser.py --fetch
	PYTHONDONTWRITEBYTECODE= $(PY) -m pytest $(PARALLEL) --hypothesis-seed=$(SEED) $(ARGS)

# The layout of JavaScript is prettier's, where Node is at hand.
PRETTIER := 3.10.1
SCRIPTS := $(wildcard cplab/*/*.js tests/*.js)

lint: install-test
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	@if command -v npx >/dev/null; then npx --yes prettier@$(PRETTIER) --check $(SCRIPTS); \
	else echo "npx is not here: the layout of JavaScript is not checked"; fi

# Other versions of zig make other bytes. The tests compare them where zig is installed; its 80 MB
# are none of the extras'.
ZIG := 0.17.1
WASM ?= cplab/lab/networks.wasm

wasm:
	@$(PY) -c 'from importlib.metadata import version; assert version("ziglang") == "$(ZIG)"' 2>/dev/null || \
	  $(PY) -m pip install --quiet ziglang==$(ZIG)
	$(PY) -m ziglang cc -target wasm32-freestanding -msimd128 -O3 -s -nostdlib \
	  -Wl,--no-entry -Wl,--export-memory -Wl,--export=network -Wl,--export=images \
	  -Wl,--export=labels -Wl,--export=order -Wl,--export=sizes -Wl,--export=scores \
	  -o $(WASM) cplab/lab/networks.c
	chmod 644 $(WASM)

# Stopped, it goes on where it was: docs/release.md.
card: install-test
	$(PY) -m cplab data fetch cifar10
	$(PY) -m pytest -n 0 tests/test_passes.py
	$(PY) -m benchmarks card --device cuda
	$(PY) -m reproduction train figure1-once steps-full-size --device cuda

# Whether uv can reach the builds of torch is asked first, for some seconds and without a retry.
define add
	@[ "$$(uname -sm)" != "Darwin x86_64" ] || { \
	  echo "torch has no builds for Macs with Intel chips: what shows results comes without it, and training needs another machine"; \
	  $(PY) -m pip install --editable '.[$(1)]'; exit; }; \
	if [ -z "$(UV)" ]; then why="no uv, as asked"; \
	elif ! { [ -x "$(UV)" ] || $(PY) -m pip install --quiet uv; }; then why="uv cannot be had"; \
	elif ! UV_HTTP_RETRIES=0 UV_HTTP_TIMEOUT=10 "$(UV)" pip install --quiet --dry-run \
	  --python $(PY) --torch-backend auto torch 2>/dev/null; then why="uv finds no build of torch"; \
	elif UV_COMPILE_BYTECODE=1 "$(UV)" pip install \
	  --python $(PY) --torch-backend auto --editable '.[$(1)]'; then exit; \
	else why="uv could not install"; fi; \
	echo "$$why: pip takes the usual build of torch"; \
	$(PY) -m pip install --editable '.[$(1)]'
endef

# The extras that open the labs, and write them as pages.
OPENED := lab,site

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

# The stamps make a second run start at once; a change in the dependencies installs again. The first
# says where the project lay: an environment works nowhere else, so after a move it is made anew.
STAMP := $(shell cat "$(VENV)/.installed" 2>/dev/null)
ifneq ("$(STAMP)","")
ifneq ("$(STAMP)","$(CURDIR)")
MOVED := moved
endif
endif
.PHONY: moved
moved:
	@echo "this project was moved here: its environment is made anew"

# JupyterLab's question about news, which would lie over the first cells, is not asked.
$(VENV)/.installed: pyproject.toml $(MOVED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "cplab needs Python 3.11 or newer, but $(PYTHON) is missing or older: install one, or name it, as in PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(if $(MOVED),--clear) $(VENV)
	$(call add,$(OPENED))
	@mkdir -p $(VENV)/share/jupyter/lab/settings
	@cp binder/overrides.json $(VENV)/share/jupyter/lab/settings/
	@echo "$(CURDIR)" > $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(call add,test)
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
