# Each target makes its own .venv when there is none.
PYTHON ?= python3
BIN := .venv/bin
TOOLS := build/tools/bin

.PHONY: demo test check notebook bench ratios torture docs release-check lock audit clean

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

# Fails where something of ours has become slow against what stands beside it; alone, and not as a test.
ratios: .venv/dev
	$(BIN)/python benchmarks/ratios.py

# Every parser against bad files, FUZZ_SECONDS each; what breaks a promise stays in build/fuzz.
.PHONY: fuzz
FUZZ_SECONDS ?= 60
fuzz: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS)

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

# Builds what would be published, twice; paints with it where nothing else is installed, and lists
# all that is then there.
release-check: build/tools/made
	rm -rf dist build/release build/again
	$(TOOLS)/python -m build --no-isolation --outdir dist .
	mkdir -p build/again
	git ls-files -z | tar --null --files-from - --create | tar --extract --touch --directory build/again
	cd build/again && umask 077 && ../../$(TOOLS)/python -m build --no-isolation --outdir dist .
	$(PYTHON) tools/wheel.py dist build/again/dist
	$(PYTHON) -m venv build/release
	$(TOOLS)/python -m pip wheel --quiet --no-build-isolation --no-deps --require-hashes \
		--requirement requirements/light.txt --wheel-dir build/release/wheels
	build/release/bin/python -m pip install --quiet --no-index --no-deps build/release/wheels/*.whl dist/*.whl
	build/release/bin/python -m pip check
	cd build/release && bin/pleinair --version && \
		bin/pleinair paint ../../samples/castle.jpg -o castle.png --force
	$(TOOLS)/python tools/bill.py build/release dist

# What is pinned, anew: run it after a change of pyproject.toml or constraints.txt. Versions that stand
# in a lock stay as long as they fit; remove the lock first to have the newest. Universal: one lock
# for every system and Python.
LOCK = $(TOOLS)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	--constraint constraints.txt
# torch is in none: which build of it is right depends on the machine, and each comes from elsewhere.
APART = serve heif hub import parquet scale tensorboard video
lock: build/tools/made
	$(LOCK) pyproject.toml --output-file requirements/light.txt
	$(LOCK) pyproject.toml --extra serve --extra heif --output-file requirements/serve.txt
	$(LOCK) pyproject.toml $(APART:%=--extra %) --output-file requirements/all-but-torch.txt
	$(LOCK) --group pyproject.toml:build --output-file requirements/build.txt
	$(LOCK) --group pyproject.toml:release --output-file requirements/tools.txt

# What is known to be wrong with what is pinned. Needs a network, and says so where there is none.
audit: build/tools/made
	$(TOOLS)/python tools/audit.py

# What releases are made with.
build/tools/made: requirements/tools.txt
	rm -rf build/tools
	$(PYTHON) -m venv build/tools
	$(TOOLS)/python -m pip install --quiet --require-hashes --requirement requirements/tools.txt
	touch $@

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
