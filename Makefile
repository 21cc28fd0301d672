# What a newcomer needs: `make demo` and `make test`. Both install what is missing first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tests of processes wait for most of their time, and those of units compute. They go side by side,
# the second kind with what the first leaves of two cores.
WAITING := 4
COMPUTING := 2
FILES := --dist loadfile --no-loadscope-reorder
SERVERS := rabbitmq-server prometheus kubectl openssl
# How many sequences of faults and loads `make fuzz` tries: a quarter of an hour.
SEQUENCES ?= 10000

.PHONY: help demo replay bench test test-units test-processes long takeovers faults fuzz lint crd chart reliability dashboard dashboard-picture protocol constraints clean kind-up kind-e2e kind-down

help:
	@echo "make demo [KEEP=1]   run the whole story, in three minutes"
	@echo "make replay          the published load tests, with KEDA and with scanpool"
	@echo "make bench [POOLS=1000] [KEYS=20]  many pools, and what they cost; on the cluster that"
	@echo "                     KUBECONFIG names, else on a stand-in"
	@echo "make test            lint, types, import rules and the tests, in ten minutes; its parts are"
	@echo "                     lint, test-units and test-processes"
	@echo "make long            the tests that take most of a minute or more each, in an hour"
	@echo "make takeovers       kill the operator that leads twenty times, with the default Lease"
	@echo "make faults          those of them that do a fault to the operator"
	@echo "make fuzz [SEQUENCES=10000]  search sequences of faults and loads"
	@echo "make lint            only the first three"
	@echo "make crd             write crds/ anew from the models"
	@echo "make chart           write anew what charts/ takes from manifests/ and crds/"
	@echo "make reliability     write anew the table of docs/reliability.md from tests/faults"
	@echo "make dashboard       write manifests/monitoring/dashboard.json anew from the metrics"
	@echo "make dashboard-picture  run the demo, and draw its dashboard into docs/"
	@echo "make protocol        write anew what Python knows of KEDA's protocol, from its .proto file"
	@echo "make kind-up         a kind cluster with the operator and the sample pool"
	@echo "make kind-e2e        a burst of scans on it, and what has to come of it"
	@echo "make kind-down       remove it"
	@echo "make clean           remove what the commands above left in this directory"

demo: $(INSTALLED)
	@scripts/system-packages.sh rabbitmq-server prometheus kubectl
	@$(BIN)/scanpool-sandbox demo $(if $(KEEP),--keep)

replay: $(INSTALLED)
	@$(BIN)/scanpool-replay

POOLS := 100
KEYS := 20

bench: $(INSTALLED)
	@scripts/system-packages.sh rabbitmq-server prometheus kubectl
	@$(BIN)/scanpool-sandbox bench --pools $(POOLS) --keys $(KEYS)

test: $(INSTALLED)
	@scripts/system-packages.sh $(SERVERS)
	@$(BIN)/python scripts/helm.py
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target lint test-units test-processes

test-units: $(INSTALLED)
	nice $(BIN)/pytest -n $(COMPUTING) $(FILES) tests/unit

test-processes: $(INSTALLED)
	$(BIN)/pytest -n $(WAITING) $(FILES) tests/sandbox tests/component tests/cluster tests/faults

# In about ten minutes; `make test` does it twice with a shorter Lease.
takeovers: $(INSTALLED)
	@scripts/system-packages.sh $(SERVERS)
	SCANPOOL_KILLS=20 SCANPOOL_LEASE_SECONDS=15 $(BIN)/pytest tests/sandbox/test_operator_takeover.py

long: $(INSTALLED)
	@scripts/system-packages.sh $(SERVERS)
	$(BIN)/pytest -m long -n $(WAITING) $(FILES)

faults: $(INSTALLED)
	@scripts/system-packages.sh $(SERVERS)
	$(BIN)/pytest -m long -n $(WAITING) $(FILES) tests/faults

fuzz: $(INSTALLED)
	SCANPOOL_FUZZ=$(SEQUENCES) $(BIN)/pytest tests/unit/decide/test_sequences.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

crd: $(INSTALLED)
	$(BIN)/scanpool crd > crds/scanworkerpools.yaml
	$(BIN)/python scripts/chart.py

chart: $(INSTALLED)
	$(BIN)/python scripts/chart.py

reliability: $(INSTALLED)
	$(BIN)/python tests/faults/table.py

dashboard: $(INSTALLED)
	$(BIN)/scanpool dashboard > manifests/monitoring/dashboard.json

dashboard-picture: $(INSTALLED)
	@scripts/system-packages.sh rabbitmq-server prometheus kubectl
	@$(BIN)/scanpool-sandbox demo --picture docs/dashboard.svg

$(INSTALLED): pyproject.toml constraints.txt
	@scripts/system-packages.sh python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --upgrade pip
	$(BIN)/pip install --quiet -c constraints.txt -e '.[sandbox,keda]' --group test --group lint
	@touch $@

# Takes the newest versions that pyproject.toml allows, and writes them down.
constraints:
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[sandbox,keda]' --group test --group lint
	echo "# Exact versions that the tests ran with. Made by 'make constraints'." > constraints.txt
	$(BIN)/pip freeze --exclude-editable --all >> constraints.txt

kind-up kind-e2e kind-down: kind-%:
	@scripts/kind.sh $*

# What Python speaks of the protocol's file; a test holds it against that.
protocol: $(INSTALLED)
	cd operator && ../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. scanpool/keda/externalscaler.proto

clean:
	rm -rf $(VENV) dist bench.json .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
