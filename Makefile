# make demo   install amortex into .venv, train a small explainer, explain two photographs with it and with the bundled one
# make test   install what the tests need, and run them
# make docs   build the documentation in build/docs
# make lint   ruff and mypy
#
# Nothing but Python 3.10 or later is needed; `make PYTHON=python3.12 demo` takes another one than python3. All commands
# can be repeated: what has been installed or trained is used again until pyproject.toml or its configuration changes.
.POSIX:

PYTHON ?= python3
VENV = .venv
RUN = $(VENV)/bin/python
TRAINED = runs/quickstart/trained.txt

.PHONY: demo test docs lint

demo: $(VENV)/installed $(TRAINED)
	$(RUN) explain.py --explainer "$$(cat $(TRAINED))" --select-rate --out explanations/quickstart --overwrite
	$(RUN) explain.py --out explanations/bundled --overwrite
	@echo
	@echo "The objective during training:                       $$(cat $(TRAINED) | sed 's|checkpoints/.*|curve.png|')"
	@echo "A cat, explained by the explainer that was trained:  explanations/quickstart/chelsea_panel.png"
	@echo "The same cat, explained by the bundled explainer:    explanations/bundled/chelsea_panel.png"

test: $(VENV)/installed-dev
	$(RUN) -m pytest

docs: $(VENV)/installed-docs
	rm -rf docs/generated
	$(RUN) -m sphinx -q -W --keep-going docs build/docs
	@echo "The documentation is in build/docs/index.html"

lint: $(VENV)/installed-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# The file names the checkpoint: each run of train.py has a folder of its own, version_0, version_1, ...
$(TRAINED): $(VENV)/installed configs/quickstart.yaml
	$(RUN) train.py fit --config configs/quickstart.yaml
	ls -td runs/quickstart/version_*/checkpoints/last.ckpt | head -n 1 > $@

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(RUN) -m pip install --quiet -e ".[dev]"
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(RUN) -m pip install --quiet -e ".[docs]"
	touch $@
