# `make run` and `make test` need Python >= 3.11, pip, make and git, nothing else. `make help` lists the targets.
.DELETE_ON_ERROR:
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help run ui test test-fast acceptance nightly parity screenshots lint format lock bench accuracy reliability dictionary configuration clean

help:
	@echo "make run          the environment, then the whole graph on real data"
	@echo "make ui           the Dagster UI on http://127.0.0.1:3000"
	@echo "make test         linters, type checker and all tests"
	@echo "make test-fast    the quick tests, in about a minute"
	@echo "make acceptance   what needs a browser, Spark, Superset or PostgreSQL; installs them"
	@echo "make nightly      what takes longer: the whole graph on Spark beside DuckDB"
	@echo "make format       formats the code"
	@echo "make lint         linters and type checker"
	@echo "make lock         pins the dependencies of pyproject.toml anew"
	@echo "make dictionary   docs/DATA_DICTIONARY.md from the contracts"
	@echo "make configuration  docs/reference/configuration.md and the schema of clv.yaml from the settings"
	@echo "make screenshots  the pictures of the documentation"
	@echo "make bench        docs/PERFORMANCE.md;  make accuracy: docs/ACCURACY.md;  make reliability: docs/RELIABILITY.md"
	@echo "make clean        removes the environment and caches"

run: .venv/ready
	$(BIN)/clv run

ui: .venv/ready
	umask 077; DAGSTER_HOME=$$($(BIN)/python -m clv_pipeline.orchestration.instance) DAGSTER_DISABLE_TELEMETRY=1 \
	    $(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $${PORT:-3000}

# Two at a time, file by file: what a file prepares once is prepared once.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

FAST := config contracts database evaluation features quality segmentation spark sql
test-fast: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile $(wildcard $(FAST:%=clv_pipeline_tests/%) clv_pipeline_tests/test_architecture.py)

acceptance: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "acceptance and not parity" --timeout 1200

nightly: parity

# The whole graph on Spark beside DuckDB, on CDNOW and Online Retail II: ten minutes each.
parity: .venv/ready
	$(BIN)/python -m pytest -m parity

# The pictures of the documentation, taken by the acceptance tests of the UI, the report and Superset in Chromium.
screenshots: .venv/ready
	CLV_SCREENSHOTS=$(CURDIR)/docs/images $(BIN)/python -m pytest -m acceptance \
	    clv_pipeline_tests/acceptance/test_ui.py clv_pipeline_tests/acceptance/test_report.py \
	    clv_pipeline_tests/acceptance/test_superset.py

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix --quiet dbt_like_sql

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint dbt_like_sql
	DAGSTER_HOME= DAGSTER_DISABLE_TELEMETRY=1 $(BIN)/dagster definitions validate --workspace workspace.yaml

# docs/PERFORMANCE.md; 100 million lines take 15 GB of disk.
bench: .venv/ready
	$(BIN)/python -m benchmarks.raw_to_rfm
	$(BIN)/python -m benchmarks.complete
	$(BIN)/python -m benchmarks.layers
	$(BIN)/python -m benchmarks.nightly
	$(BIN)/python -m benchmarks.fit_and_score

# docs/ACCURACY.md, on the shops in the folder CLV_SHOPS; hours.
accuracy: .venv/ready
	$(BIN)/python -m benchmarks.accuracy

reliability: .venv/ready
	$(BIN)/python -m benchmarks.reliability

# docs/DATA_DICTIONARY.md, from the contracts.
dictionary: .venv/ready
	$(BIN)/python -m clv_pipeline.orchestration.dictionary

# docs/reference/configuration.md and the schema of clv.yaml, from the settings.
configuration: .venv/ready
	$(BIN)/python -m clv_pipeline.config.reference

# The environment is exactly the lock file: hashes are checked, nothing is resolved anew.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("clv_pipeline needs Python 3.11 or newer, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

lock: .venv/ready
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	    --no-emit-find-links --custom-compile-command "make lock" --extra dev --extra neural --extra postgres \
	    --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
