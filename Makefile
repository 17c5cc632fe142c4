# Two commands: `make demo` plays an evening, `make test` proves the rules. Both install what is missing.
PY := .venv/bin/python

.PHONY: demo test test-slow test-long soak bench pibox-camera fleet postgres-versions check format lock pictures clean

demo:
	@tools/setup
	@$(PY) -m demo

# Four at once on two cores, because tests with servers mostly wait. Each file stays in one process; the nights come first.
SHARED := -n 4 --dist loadfile --no-loadscope-reorder

test: check
	@$(PY) -m pytest $(SHARED)

# The same on one core, then beside four busy loops: no test may fail because a machine is slow.
test-slow: check
	@taskset -c 0 $(PY) -m pytest $(SHARED)
	@loops=; for n in 1 2 3 4; do while :; do :; done & loops="$$loops $$!"; done; \
	  trap "kill $$loops" EXIT; trap "exit 1" INT TERM; $(PY) -m pytest $(SHARED)

# The long tail: every statement a door can be killed at, 2,000 scans in the night of faults, 500 nights.
test-long: check
	@MAGUEY_LONG=1 $(PY) -m pytest $(SHARED)

# Many simulated nights, on two cores: docs/development.md. SEEDS=20000 takes hours; FROM=500 begins there.
soak:
	@tools/setup
	@$(PY) -m tests.simulation --jobs 2 --seed $(or $(FROM),0) --seeds $(or $(SEEDS),2000)

# Measures door and hub beside their floors: docs/performance.md. ONLY=decision for one subject.
bench:
	@tools/setup
	@$(PY) -m bench $(addprefix --only ,$(ONLY))

# Tests the Pi camera adapter on the real picamera2, in a Debian 13 tree, as root: docs/development.md.
pibox-camera:
	@tools/setup
	@tools/pibox-camera

# Whole machines, as root: Debian trees with real systemd and sshd: docs/development.md. GATES=20 for twenty.
fleet:
	@tools/setup
	@MAGUEY_GATES=$(or $(GATES),3) $(PY) -m pytest trees

# The tests that touch Postgres, on versions 16 and 17 as well: docs/development.md.
postgres-versions:
	@tools/setup
	@tools/postgres-versions

check:
	@tools/setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

format:
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

# Rewrites requirements.txt and, of the same versions, what a gate, a hub and the operator's laptop install, from
# pyproject.toml; needs `uv`. UPGRADE=1 takes newer versions.
COMPILE = uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
  $(if $(UPGRADE),--upgrade)
PART = $(COMPILE) --no-annotate -c requirements.txt pyproject.toml

lock:
	$(COMPILE) --extra dev pyproject.toml -o requirements.txt
	$(PART) --extra pi -o requirements/gate.txt
	$(PART) --extra hub -o requirements/hub.txt
	$(PART) --extra fleet -o requirements/fleet.txt

# Draws the README's pictures, with the command a user has.
pictures:
	@tools/setup
	@.venv/bin/maguey-gate screens --lang en --out var/screens
	@cp $(addprefix var/screens/,$(notdir $(wildcard docs/screens/*.png))) docs/screens/

clean:
	rm -rf .venv var build *.egg-info
