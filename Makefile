# `make run` and `make test` need Python >= 3.11, pip, make and git, nothing else. `make help` lists the targets.
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help run ui dashboard test test-fast acceptance nightly parity screenshots lint format lock bench accuracy reliability guesses campaigns segments outlook soak dictionary configuration commands words docs coverage test-pythons clean

help:
	@echo "make run          the environment, then the whole graph on real data"
	@echo "make ui           the Dagster UI on http://127.0.0.1:3000"
	@echo "make dashboard    the published customers, to filter and sort, in the browser"
	@echo "make test         linters, type checker and all tests"
	@echo "make test-fast    the quick tests, in about a minute"
	@echo "make acceptance   what needs a browser, Spark, Superset, PostgreSQL or MariaDB; installs them"
	@echo "make nightly      what takes longer: Spark beside DuckDB, erasures killed anywhere, staleness layer by layer, a deployment on Spark, sixty nights in a row"
	@echo "make format       formats the code"
	@echo "make lint         linters and type checker"
	@echo "make lock         pins the dependencies of pyproject.toml anew"
	@echo "make test-pythons make test on every installed Python of 3.11, 3.12 and 3.13, one after the other"
	@echo "make coverage     which lines the tests ran, in build/coverage"
	@echo "make docs         the documents as a site, in build/site; a broken link is an error"
	@echo "make dictionary   docs/reference/data-dictionary.md from the contracts"
	@echo "make configuration  docs/reference/configuration.md and the schema of clv.yaml from the settings"
	@echo "make commands     docs/reference/command-line.md from the commands"
	@echo "make words        the catalogues of other languages: new texts in, unused ones out"
	@echo "make screenshots  the pictures of the documentation"
	@echo "make bench        docs/PERFORMANCE.md"
	@echo "make accuracy     docs/ACCURACY.md"
	@echo "make reliability  docs/explanation/reliability.md"
	@echo "make guesses      the table of guesses in docs/how-to/your-own-data.md"
	@echo "make campaigns    the table of docs/explanation/campaigns.md"
	@echo "make segments     the tables of docs/explanation/segments.md"
	@echo "make outlook      the table of docs/explanation/revenue-outlook.md"
	@echo "make soak         sixty nights: whether storage.home goes on growing"
	@echo "make clean        removes the environment and caches"

run: $(VENV)/ready
	$(BIN)/clv run

ui: $(VENV)/ready
	umask 077; DAGSTER_HOME=$$($(BIN)/python -m clv_pipeline.orchestration.instance) DAGSTER_DISABLE_TELEMETRY=1 \
	    $(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $${PORT:-3000}

dashboard: $(VENV)/ready
	$(BIN)/clv open explore

# Two at a time, file by file: what a file prepares once is prepared once.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

# In an environment per version; the workflow `test` does the same side by side. PYENV_VERSION makes pyenv show a Python
# that is installed and not selected.
test-pythons:
	@for version in 3.11 3.12 3.13; do \
	    export PYENV_VERSION=$$version; \
	    if python$$version -c '' 2>/dev/null; then \
	        $(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	    else echo "python$$version is not installed"; fi; \
	done

# Processes that tests start are counted too.
coverage: $(VENV)/ready
	rm -rf build/coverage
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report --skip-covered --sort cover

FAST := config contracts database evaluation features quality segmentation spark sql
test-fast: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile $(wildcard $(FAST:%=clv_pipeline_tests/%) clv_pipeline_tests/test_architecture.py)

acceptance: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "acceptance and not parity and not nightly" --timeout 1200

nightly: parity soak
	$(BIN)/python -m pytest -n 2 --dist loadfile -m nightly

# The whole graph with all default models on Spark beside DuckDB, on CDNOW (two nights) and Online Retail II.
parity: $(VENV)/ready
	$(BIN)/python -m pytest -m parity

# The pictures of the documentation: by acceptance tests in Chromium, and of the pages of the shops in the folder CLV_SHOPS.
screenshots: $(VENV)/ready
	CLV_SCREENSHOTS=$(CURDIR)/docs/images $(BIN)/python -m pytest -m acceptance \
	    clv_pipeline_tests/acceptance/test_ui.py clv_pipeline_tests/acceptance/test_report.py \
	    clv_pipeline_tests/acceptance/test_explore.py \
	    clv_pipeline_tests/acceptance/test_superset_dashboard.py
	$(BIN)/python -m benchmarks.pictures

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix --quiet dbt_like_sql

# dg heeds no variable about telemetry, only the dagster.yaml of its instance, which turns it off.
DG := DAGSTER_HOME=$(CURDIR)/build/dagster $(BIN)/dg

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint dbt_like_sql
	$(BIN)/yamllint --strict .
	mkdir -p build/dagster && cp dagster.yaml build/dagster
	$(DG) check defs
	$(DG) list defs --json > build/dagster/definitions.json

# docs/PERFORMANCE.md; 100 million lines take 15 GB of disk.
bench: $(VENV)/ready
	$(BIN)/python -m benchmarks.raw_to_rfm
	$(BIN)/python -m benchmarks.complete
	$(BIN)/python -m benchmarks.layers
	$(BIN)/python -m benchmarks.nightly
	$(BIN)/python -m benchmarks.fit_and_score
	$(BIN)/python -m benchmarks.explore

# docs/ACCURACY.md, on the shops in the folder CLV_SHOPS; hours.
accuracy: $(VENV)/ready
	$(BIN)/python -m benchmarks.accuracy

# docs/explanation/reliability.md; what the file gates find, on the shops in the folder CLV_SHOPS.
reliability: $(VENV)/ready
	$(BIN)/python -m benchmarks.file_faults
	$(BIN)/python -m benchmarks.reliability

# The table of docs/how-to/your-own-data.md, on the shops in the folder CLV_SHOPS.
guesses: $(VENV)/ready
	$(BIN)/python -m benchmarks.guesses

# The table of docs/explanation/campaigns.md; CDNOW, and what is in the folder CLV_SHOPS.
campaigns: $(VENV)/ready
	$(BIN)/python -m benchmarks.campaigns

# The tables of docs/explanation/segments.md, on the shops in the folder CLV_SHOPS.
segments: $(VENV)/ready
	$(BIN)/python -m benchmarks.segments

# The table of docs/explanation/revenue-outlook.md, on the shops in the folder CLV_SHOPS.
outlook: $(VENV)/ready
	$(BIN)/python -m benchmarks.outlook

# The block `soak` of docs/explanation/reliability.md.
soak: $(VENV)/ready
	$(BIN)/python -m benchmarks.soak

# docs/reference/data-dictionary.md, from the contracts.
dictionary: $(VENV)/ready
	$(BIN)/python -m clv_pipeline.orchestration.dictionary

# docs/reference/configuration.md and the schema of clv.yaml, from the settings.
configuration: $(VENV)/ready
	$(BIN)/python -m clv_pipeline.config.reference

# docs/reference/command-line.md, from what click knows of the commands.
commands: $(VENV)/ready
	$(BIN)/python -m clv_pipeline.cli.reference

# clv_pipeline/display/words/*.po, from what the code says to people.
words: $(VENV)/ready
	$(BIN)/python -m clv_pipeline.display.catalogues

# The site, from the same Markdown: what README.md and docs/ link to is laid out as in the repository.
docs: .venv-docs/ready
	rm -rf build/docs build/site
	mkdir -p build/docs
	git ls-files -z --cached --others --exclude-standard -- \
	    README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md LICENSE docs examples deploy \
	    | tar --null --files-from - --create | tar --extract --directory build/docs
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

# The environment is exactly the lock file: hashes are checked, nothing is resolved anew.
$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("clv_pipeline needs Python 3.11 or newer, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv-docs/ready: requirements-docs.lock
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-docs.lock
	touch $@

LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
    --no-emit-find-links --custom-compile-command "make lock"
# The extra `spark` alone, in the versions of requirements.lock: its packages go beside those of that file.
SPARK := import tomllib; \
    print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["spark"], sep="\n")
lock: $(VENV)/ready
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/$(LOCK) --extra dev --extra lake --extra mysql --extra neural --extra postgres \
	    --output-file requirements.lock pyproject.toml
	$(BIN)/$(LOCK) --group pyproject.toml:docs --output-file requirements-docs.lock
	$(BIN)/python -c '$(SPARK)' | $(BIN)/$(LOCK) --constraints requirements.lock --output-file requirements-spark.lock -

clean:
	rm -rf .venv .venv-* build .mypy_cache .pytest_cache .ruff_cache
