# Each target makes its own .venv when there is none.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check notebook bench torture docs release-check clean

demo: .venv/light
	rm -rf demo && mkdir demo
	$(BIN)/pleinair paint samples/*.jpg --out demo --sheet
	@echo "Open demo/sheet.jpg"

# Small networks are faster with one thread each; tests of one group share what is costly to set up.
test: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadgroup

check: .venv/dev site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/python notebooks/execute.py --check

# From top to bottom, into build/; its runs are taken away again.
notebook: .venv/dev
	$(BIN)/python notebooks/execute.py

bench: .venv/dev
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/folder.py

# Kills, full disks, clocks that jump, little memory, lying servers: 20 minutes at most, in build/torture.json.
# ARGS="--seed 7 --only 'kill -9/*'" has some of it again, ARGS=--docs puts the figures into docs/reliability.md.
torture: .venv/dev
	$(BIN)/python -m torture $(ARGS)

docs: .venv/dev
	$(BIN)/python docs/generate.py
	$(MAKE) site
	@echo "Open build/docs/index.html"

# The documentation as a site. Whatever Sphinx warns of fails, a link that leads nowhere first of all.
.PHONY: site
site: .venv/dev
	rm -rf build/docs
	$(BIN)/python -m sphinx -b html -c docs -E -d build/doctrees --fail-on-warning --quiet . build/docs

# Builds what would be published, and paints with it where nothing else is installed.
release-check:
	rm -rf dist build/release
	$(PYTHON) -m venv build/release
	build/release/bin/python -m pip install --quiet build
	build/release/bin/python -m build --outdir dist .
	$(PYTHON) tools/wheel.py dist/*.whl
	build/release/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	cd build/release && bin/pleinair --version && \
		bin/pleinair paint ../../samples/castle.jpg -o castle.png --force

# The light install: paints, has no torch.
.venv/light: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# The development install contains the light one.
.venv/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ .venv/light

clean:
	rm -rf .venv demo build dist
