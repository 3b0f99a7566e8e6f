# Everything sets itself up: `make run` and `make test` need Python 3.11 or newer, make and a package index, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := bench/.venv
FLINK := bench/.venv-flink
# Integration tests mostly wait for processes of their own; each of these has a broker of its own.
AT_ONCE ?= -n 3 --dist worksteal
KAFKA := deploy/kafka/kafka
KAFKA_DATA ?= $(CURDIR)/.wattloop/kafka

.DEFAULT_GOAL := help
.PHONY: help run test check kafka kafka-stop test-kafka chaos bench bench-peers lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Wattloop needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Say which one with: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## three demo factories on an embedded broker and history; Ctrl-C ends it
	$(BIN)/wattloop run $(ARGS)

test: $(READY) ## all tests, on the embedded broker and the embedded ClickHouse engine
	$(BIN)/pytest $(AT_ONCE) $(ARGS)

check: $(READY) ## formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

kafka: ## start an Apache Kafka 4 on loopback (Java 17 and Maven needed)
	$(KAFKA) start --data $(KAFKA_DATA)

kafka-stop: ## stop it
	$(KAFKA) stop --data $(KAFKA_DATA)

test-kafka: $(READY) ## the integration tests on Apache Kafka 4 (Java 17 and Maven needed)
	WATTLOOP_TEST_BROKER=apache $(BIN)/pytest $(AT_ONCE) -m integration tests/integration $(ARGS)

chaos: $(READY) ## seeded fault schedules on Apache Kafka 4; ARGS="--schedules 100 --seed 1"
	$(BIN)/python tests/integration/chaos/run.py $(ARGS)

bench: $(READY) ## measure the hot paths; prints figures, asserts nothing
	$(BIN)/python -m bench $(ARGS)

$(PEERS)/.ready: bench/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements.txt
	@touch $@

# Made by the bench when PyFlink takes part: its pins are not those of the other peers.
$(FLINK)/.ready: bench/peers/flink/requirements.txt bench/peers/flink/pom.xml
	$(PYTHON) -m venv $(FLINK)
	$(FLINK)/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers/flink/requirements.txt
	rm -rf $(FLINK)/jars
	mvn -q -B -f bench/peers/flink/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(FLINK)/jars
	@touch $@

bench-peers: $(READY) $(PEERS)/.ready ## the whole job against peers, on Apache Kafka 4: bench/results (ARGS="--help" shows more)
	$(PEERS)/bin/python -m bench.job $(ARGS)

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --group dev pyproject.toml -o requirements.lock

clean: ## remove everything that was made here
	rm -rf $(VENV) $(PEERS) $(FLINK) .wattloop .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
