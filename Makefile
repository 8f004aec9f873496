# Two commands do everything: `make demo` and `make test`; each sets up what it needs.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up

export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: setup detectron2 demo figures policy-figures test lint types clean

setup: $(STAMP)

# torch goes first: whatever else asks for it then finds the pinned build in place. trackeval
# asks for opencv-python, whose files are those of opencv-python-headless once more, and Label
# Studio's SDK, of which the tests use one module, for an old OpenCV.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch torchvision
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps trackeval label-studio-sdk
	touch $(STAMP)

# The second backend. No release of detectron2 installs by itself: 0.6 is built here without its
# compiled operators, which Mask R-CNN does not need, by the last pip that passes such options on.
# The build sees torch in .venv, and its own older setuptools before the one there.
BUILD := $(VENV)/detectron2-build
SITE := import sysconfig; print(sysconfig.get_path("purelib"))

detectron2: $(VENV)/.detectron2

$(VENV)/.detectron2: $(STAMP)
	$(PYTHON) -m venv --clear $(BUILD)
	$(BUILD)/bin/pip install --quiet pip==23.2.1 setuptools==65.5.0 wheel==0.45.1
	$(BIN)/python -c '$(SITE)' > $$($(BUILD)/bin/python -c '$(SITE)')/scopeline.pth
	$(BUILD)/bin/pip wheel --quiet --no-cache-dir --no-deps --no-build-isolation \
		--global-option=build_py --build-option=--skip-build \
		--wheel-dir $(BUILD)/wheels pb1-detectron2==0.6
	$(BIN)/pip install --quiet --constraint constraints.txt fvcore yacs termcolor pydot
	$(BIN)/pip install --quiet --no-deps $(BUILD)/wheels/*.whl
	touch $@

demo: $(STAMP)
	$(BIN)/python -m flows.demo

# A module's tests stay in one process, which makes what they share once. Modules come in the order
# of their names: in that of their sizes, long ones of few tests would run alone at the end. The
# processes share the processors, so a thread that waits for another must not hold one.
test: $(STAMP)
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 \
		--dist loadfile --no-loadscope-reorder

# What the README says of the models that ship; takes about half an hour.
figures: $(STAMP)
	$(BIN)/python -m flows.figures --out figures

# What the README says of the policies; takes about an hour and a half.
policy-figures: $(STAMP)
	$(BIN)/python -m flows.policy_figures --out figures

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo figures
