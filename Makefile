PYTHON := .venv/bin/python
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo env PATH="$$PATH" GUARD_REQUIRE=$(GUARD_REQUIRE))
# As root, leave nothing in the tree that its owner could not delete.
PYTEST := $(AS_ROOT) $(PYTHON) -B -m pytest -p no:cacheprovider
GUESTS ?=
TESTS ?=
# What differs between kernels, in the minutes that emulation takes for it. The whole
# ring: make test-vm VM_TESTS=tests/kernel
VM_TESTS ?= $(addprefix tests/kernel/test_, file_open.py io_uring_setup.py enforcement_detours.py)

.PHONY: help setup setup-test setup-vm bpf demo test test-kernel test-vm lint fmt bench check

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

setup: ## install what is missing, make .venv
	@tools/setup.sh

setup-test:
	@tools/setup.sh git:git gcc:gcc /usr/include/stdio.h:libc6-dev tmux:tmux

setup-vm:
	@tools/setup.sh qemu-system-x86_64:qemu-system-x86 busybox:busybox-static

bpf: setup ## compile the kernel programs
	@$(PYTHON) guard/bpf/build.py

demo: setup-test bpf ## a misbehaving agent under guard
	@examples/demo.sh

test: setup-test bpf ## all tests on this kernel (TESTS=path -k word …)
	$(PYTEST) -m "not vm" $(TESTS)

test-kernel: setup-test bpf ## the tests that load programs into this kernel
	$(PYTEST) -m "kernel and not vm" $(TESTS)

test-vm: setup-test setup-vm bpf ## the same under other kernels (GUESTS="6.1 6.12")
	$(AS_ROOT) env GUARD_REQUIRE=1 $(PYTHON) -m tests.vm $(GUESTS:%=--guest %) -- \
		$(PYTHON) -m pytest -p no:cacheprovider -m "kernel and not vm" $(VM_TESTS)

lint: setup ## formatting, lint, types, layers
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports --no-logo
	$(PYTHON) guard/bpf/build.py --check

fmt: setup ## format the Python code
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

bench: setup-test bpf ## what a session costs beside no guard
	$(AS_ROOT) $(PYTHON) bench/run.py

check: lint test ## what CI runs
