# Everything needs Python 3.11 or later and nothing else; each target sets itself up in .venv.
PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
PORT   ?= 8000

BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed
HTML      := _build/html

.PHONY: help book serve pdf test kernels library wheel alone lint format site refresh experiments lab clean

help:  ## show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(INSTALLED): requirements.txt pyproject.toml $(wildcard tools/lab/*.*)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -c "import convexdiff_lib; convexdiff_lib.compile_loops()"  # kept on disk for all that comes
	touch $@

# From nothing: a build on top of another repeats none of its warnings, and leaves pages behind that are gone.
book: $(INSTALLED)  ## build the book; any warning is an error
	rm -rf _build
	$(BIN)/jupyter-book build -q -W -n --keep-going .
	@echo "The book is at $(abspath $(HTML)/index.html)"

serve:  ## serve the built book on http://127.0.0.1:8000/
	@test -f $(HTML)/index.html || { echo "Run 'make book' first."; exit 1; }
	$(PYTHON) -m http.server --bind 127.0.0.1 --directory $(HTML) $(PORT)

pdf: book  ## one PDF of the whole book, by headless Chromium
	$(BIN)/python tools/pdf.py

test: $(INSTALLED)  ## re-run every chapter, test and docstring example
	$(BIN)/pytest --nbval -n $(JOBS)

kernels: $(INSTALLED)  ## the same numbers under other BLAS kernels, without SIMD, with threads, without numba
	$(BIN)/python tools/kernels.py --jobs $(JOBS)

# For example: make library PYTHON=python3.13, or make library VERSIONS=tests/oldest.txt
library:  ## the library's own tests alone, without PyTorch and Jupyter, with the newest versions of all else
	$(PYTHON) -m venv --clear $(VENV)-library
	$(VENV)-library/bin/python -m pip install --quiet -e '.[programs,plots,sklearn,sweeps]' -r tests/requirements.txt $(VERSIONS:%=-c %)
	$(VENV)-library/bin/python tools/kernels.py --library own

wheel: $(INSTALLED)  ## build the package, and try the wheel alone in an environment of its own
	rm -rf dist
	$(BIN)/python -m build --quiet --outdir dist .
	$(PYTHON) -m venv --clear $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --quiet dist/*.whl
	cd / && $(abspath $(VENV))-wheel/bin/python $(abspath tools/smoke.py) $(abspath .)

alone: $(INSTALLED)  ## run every notebook, or NOTEBOOKS, with nothing beside it where only the wheel and its extra are
	rm -rf dist
	$(BIN)/python -m build --quiet --outdir dist .
	$(PYTHON) -m venv --clear $(VENV)-alone
	$(VENV)-alone/bin/python -m pip install --quiet "$$(echo dist/*.whl)[book]" "$$(grep -o '^torch==[0-9.]*' requirements.txt)"
	$(BIN)/python tools/alone.py $(abspath $(VENV))-alone/bin/python $(NOTEBOOKS)

lint: $(INSTALLED)  ## lint, format check, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED)  ## format the code
	$(BIN)/ruff check --fix --extend-exclude chapters  # a notebook is regenerated, never edited
	$(BIN)/ruff format

site: book  ## check every page of the book, and the chapters in JupyterLab, in headless Chromium
	$(BIN)/pytest -m site -n $(JOBS) --dist=worksteal tests/book/test_site.py tests/book/test_player.py tests/book/test_live.py tests/book/test_live_plane.py tests/book/test_your_data.py tests/live tests/book/test_jupyterlab.py

refresh: $(INSTALLED)  ## bring every notebook up to date with its text
	$(BIN)/python tools/refresh.py

experiments: $(INSTALLED)  ## run the long experiments again (more than an hour), and store their data; one that was stopped goes on
	$(BIN)/python -m experiments --jobs $(JOBS)

lab: $(INSTALLED)  ## open the chapters in JupyterLab
	$(BIN)/jupyter lab

clean:  ## remove what was built; the environment stays
	rm -rf _build build dist *.egg-info tools/lab/build tools/lab/*.egg-info .pytest_cache .mypy_cache .ruff_cache
