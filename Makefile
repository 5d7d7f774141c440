# Everything is set up by the first target that needs it; variables are given like `make pretrain RUN=my_run`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

# pretrain: the text (file, folder, several, hf:NAME), the sizes (tiny without DATA, small with it), the run's name
DATA ?=
PRESET ?= $(if $(DATA),small,tiny)
# finetune: the encoder; if neither it nor CONFIG is given, the newest pretrained one
BACKBONE ?= $(if $(CONFIG),,$(shell ls -td runs/pretrain/*/discriminator 2>/dev/null | head -n 1))
# both: another configuration file, and any further options, e.g. ARGS="--data.batch_size 32 --trainer.max_steps 1000"
CONFIG ?=
ARGS ?=

# sweep: the verb, trials in all, another study or space, labelled texts that judge TASK=pretrain
TASK ?= finetune
TRIALS ?= 20
STUDY ?=
SPACE ?=
PROBE ?=

RUN_NAME = $(or $(RUN),$(1))
PATHS = $(foreach path,$(DATA),--data.paths+ '$(path)')

# what make pretrain leaves by default, so that its absence is said
ENCODER = $(or $(BACKBONE),runs/pretrain/tiny/discriminator)

.PHONY: help install pretrain finetune sweep benchmark ablate compare test test-all check lint types clean

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done

install: $(VENV)/.installed  ## Make .venv with everything in it

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is older; give PYTHON=python3.12 or the like"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

pretrain: install  ## Pretrain ELECTRA: DATA=... PRESET=small RUN=my_run CONFIG=... ARGS="..."
	$(BIN)/electra-lab pretrain --config $(or $(CONFIG),experiments/pretrain-$(PRESET).yaml) --run_name $(call RUN_NAME,$(PRESET)) $(PATHS) $(ARGS)

finetune: install  ## Train and test a detector: DATA=folder BACKBONE=NAME_OR_FOLDER RUN=my_run CONFIG=... ARGS="..."
	$(BIN)/electra-lab finetune --config $(or $(CONFIG),experiments/finetune.yaml) --run_name $(call RUN_NAME,detector) $(if $(BACKBONE),--model.backbone '$(BACKBONE)') $(PATHS) $(ARGS)

OF_TASK = $(if $(filter pretrain,$(TASK)),pretrain-$(PRESET),finetune)

sweep: install  ## Search hyperparameters: TASK=finetune TRIALS=20 STUDY=name SPACE=yaml PROBE=tsv; again = one more worker
	$(BIN)/python -m experiments.sweep $(TASK) --config $(or $(CONFIG),experiments/$(OF_TASK).yaml) --space $(or $(SPACE),experiments/space-$(TASK).yaml) --trials $(TRIALS) $(if $(STUDY),--study '$(STUDY)') $(if $(PROBE),--probe '$(PROBE)') $(if $(filter finetune,$(TASK)),$(if $(BACKBONE),--model.backbone '$(BACKBONE)')) $(PATHS) $(ARGS)

benchmark: install  ## Detectors and baselines on injected conversations: BACKBONE=... ARGS="--hosts ... --positives ..."
	$(BIN)/python -m experiments.benchmark --backbone '$(ENCODER)' --output runs/$(call RUN_NAME,benchmark) $(ARGS)

ablate: install  ## The same with one thing changed at a time (experiments/ablation.yaml)
	$(BIN)/python -m experiments.benchmark --rows experiments/ablation.yaml --backbone '$(ENCODER)' --output runs/$(call RUN_NAME,ablation) $(ARGS)

compare: install  ## Encoders beside each other (experiments/comparison.yaml): SPECIFICATION=...
	$(BIN)/python -m experiments.table '$(or $(SPECIFICATION),experiments/comparison.yaml)' --output runs/tables/$(call RUN_NAME,comparison) $(ARGS)

test: install  ## The fast tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: install  ## The fast and the slow tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not gpu"

check: lint types test  ## Lint, types and the fast tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

clean:  ## Remove .venv and caches; runs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
