# The two commands of the README are `make demo` and `make test`; both set up all they need in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-interop test-engines bench lint docs clean

help:  ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.user: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[plot,train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.user
	$(PIP) --editable '.[all,dev]'
	@touch $@

demo: $(VENV)/.user  ## From a measured scan to a reconstructed object and a report in demo_output
	$(BIN)/ptychofold demo --output demo_output

# Workers share the cores; threads of torch that wait for one another would slow each other down.
test test-interop test-engines: export OMP_NUM_THREADS = 1

test: $(VENV)/.dev  ## Unit, contract and command-line tests, and the documentation's examples
	$(BIN)/python -m pytest --numprocesses 2

.venv-interop/.ready: pyproject.toml constraints-interop.txt
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-interop.txt torch==2.13.0
	.venv-interop/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-interop.txt --editable '.[tensordict,tensorflow,interop,dev]'
	@touch $@

test-interop: .venv-interop/.ready  ## Compare with the wheels of Ptychodus and TensorFlow
	QT_QPA_PLATFORM=offscreen .venv-interop/bin/python -m pytest -m interop tests/interop tests/compat/test_config_ptychodus.py

.venv-engines/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-engines
	.venv-engines/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	.venv-engines/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,plot,dev]'
	.venv-engines/bin/python -m pip install --quiet --disable-pip-version-check --no-deps ptychi==2.2.0
	.venv-engines/bin/python -m pip install --quiet --disable-pip-version-check pandas scikit-learn tqdm
	@touch $@

test-engines: .venv-engines/.ready  ## Run pty-chi's engines on our scans
	.venv-engines/bin/python -m pytest -m interop tests/interop/test_ptychi.py

lint: $(VENV)/.dev  ## Style, types and floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## Speed, as ratios to this machine's own limits
	JAXTYPING_DISABLE=1 $(BIN)/python -m pytest benchmarks --override-ini=addopts=--import-mode=importlib --benchmark-only --benchmark-columns=min,median,rounds

docs: $(VENV)/.dev  ## The reference of every public name, as HTML in build/docs
	$(BIN)/python -W error::UserWarning scripts/write_docs.py build/docs

clean:  ## Remove what was built
	rm -rf $(VENV) .venv-engines demo_output .benchmarks .mypy_cache .pytest_cache .ruff_cache .hypothesis
