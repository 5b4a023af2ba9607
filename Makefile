# `make demo` and `make test` need nothing but Python 3.11 or newer: they install into .venv themselves.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Test files that run side by side: most of them wait for daemons. In their order, which has the longest first.
WORKERS ?= 2

.PHONY: demo run bench bench-compare selection-bench film-bench writer-bench growth cluster-bench cluster-overhead test test-systemd test-fresh test-container test-cluster test-all soak soak-cluster fuzz lint format config clean

demo: $(STAMP)        ## the real daemon on a scratch folder with real footage
	$(BIN)/stillwatch demo

run: $(STAMP)         ## the daemon with ./config.yaml
	$(BIN)/stillwatch run

bench: $(STAMP)       ## speed on made clips of 720p, 1080p and 4K
	$(BIN)/stillwatch bench

bench-compare: $(STAMP)     ## beside FFmpeg's thumbnail filter, PySceneDetect and wallpaper-frame-picker; FILM
	$(BIN)/python -m tests.bench_compare $(FILM)

selection-bench: $(STAMP)   ## strategies of selection on edited films of known truth; SEEDS, CLIPS, CACHE
	STILLWATCH_LOG__LEVEL=error $(BIN)/python -m tests.selection_bench $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(CLIPS),--clips $(CLIPS)) $(if $(CACHE),--cache $(CACHE))

film-bench: $(STAMP)  ## strategies beside others on real films; FILMS, TRUTH, SHEETS, CACHE
	STILLWATCH_LOG__LEVEL=error $(BIN)/python -m tests.film_bench $(FILMS) --verbose $(if $(TRUTH),--truth $(TRUTH)) \
		$(if $(SHEETS),--sheets $(SHEETS)) $(if $(CACHE),--cache $(CACHE))

writer-bench: $(STAMP)      ## the store's one writer beside plain executemany of the same rows
	$(BIN)/python -m tests.writer_bench

growth: $(STAMP)      ## films of a minute to ten hours, and 10,000 films in the database: FILM; an hour, 15 GB
	$(BIN)/python -m tests.growth lengths $(FILM)
	$(BIN)/python -m tests.growth database $(FILM)

cluster-bench: $(STAMP)     ## what up to 512 workers would ask of the daemon, by fake ones; ARGS
	$(BIN)/python -m tests.cluster_bench $(ARGS)

test: $(STAMP) lint   ## lint, types and the fast tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
		-m "not slow and not systemd and not fresh and not container"

test-systemd: $(STAMP)    ## the unit under a real systemd in a container: needs root and systemd-nspawn
	$(BIN)/python -m pytest -m systemd tests/acceptance

test-fresh: $(STAMP)      ## on a minimal Debian of its own, all fast tests too: needs root and debootstrap; half an hour
	$(BIN)/python -m pytest -m fresh tests/fresh

test-container: $(STAMP)  ## builds the light image and runs it: needs root, debootstrap, buildah and bubblewrap
	$(BIN)/python -m pytest -m container tests/fresh

test-cluster: $(STAMP)    ## a real Ray cluster on this machine, in a network of its own: needs root; ten minutes
	$(BIN)/python -m pip install --quiet --editable '.[test,cluster]' --constraint constraints.txt
	$(BIN)/python -m pytest -m cluster tests/cluster

cluster-overhead: $(STAMP)    ## what scoring through Ray costs beside scoring here, by turns: needs root; ARGS
	$(BIN)/python -m pip install --quiet --editable '.[test,cluster]' --constraint constraints.txt
	$(BIN)/python -m tests.cluster_overhead $(ARGS)

test-all: $(STAMP) lint   ## with the long tests
	$(BIN)/python -m pytest

fuzz: $(STAMP)        ## mutants of films, sidecars, settings, requests and answers; FUZZ_SECONDS
	STILLWATCH_LOG__LEVEL=error $(BIN)/python -m tests.fuzz --seconds $(or $(FUZZ_SECONDS),600)

soak: $(STAMP)        ## kills, storms, idleness: an hour or so
	$(BIN)/python -m pytest -m slow -s tests/acceptance/test_kill.py tests/acceptance/test_storm.py

soak-cluster: $(STAMP)    ## a thousand films on a Ray cluster that loses a node every minute: needs root; FILMS, KILL_SECONDS
	$(BIN)/python -m pip install --quiet --editable '.[test,cluster]' --constraint constraints.txt
	STILLWATCH_MANY_FILMS=$(or $(FILMS),1000) STILLWATCH_KILL_SECONDS=$(or $(KILL_SECONDS),60) \
		$(BIN)/python -m pytest -s tests/cluster/test_many_films.py

lint: $(STAMP)        ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

config: $(STAMP)      ## write config.yaml anew from the models
	$(BIN)/python -m daemon.config.default_file > config.yaml.new
	mv config.yaml.new config.yaml

$(STAMP): pyproject.toml constraints.txt
	@echo "installing into $(VENV), which takes some minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]' --constraint constraints.txt
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis demo
