#!/bin/sh
# Brings a bare Debian or Ubuntu machine to where guard runs: installs what is
# missing, nothing else. Arguments: more Debian packages, as `command:package`;
# with a path or a glob in place of a command, that file is looked for.
set -eu
cd "$(dirname "$0")/.."

main() {
	packages=$(missing clang:clang llvm-strip:llvm \
		/usr/include/bpf/bpf_helpers.h:libbpf-dev '/usr/lib/*/libbpf.so.1:libbpf1' "$@")
	if [ -z "$(find_python)" ]; then
		packages="$packages python3 python3-venv python3-pip"
	fi
	install_packages $packages
	make_environment
}

# The packages of those arguments whose command or file is not there.
missing() {
	for pair in "$@"; do
		wanted=${pair%:*}
		case $wanted in
		/*) # shellcheck disable=SC2086  # a glob on purpose
			set -- $wanted
			[ -e "$1" ] || printf '%s ' "${pair##*:}" ;;
		*) command -v "$wanted" >/dev/null || printf '%s ' "${pair##*:}" ;;
		esac
	done
}

# The first Python on PATH that is new enough and can make an environment.
# Version managers put commands on PATH that only fail: each is tried.
find_python() {
	for name in python3.11 python3.12 python3.13 python3.14 python3 /usr/bin/python3; do
		if "$name" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null; then
			echo "$name"
			return
		fi
	done
}

install_packages() {
	[ $# -gt 0 ] || return 0
	echo "installing: $*"
	command -v apt-get >/dev/null || fail "no apt-get here: install $* by hand"
	as_root=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || fail "not root and no sudo: as root, apt-get install $*"
		as_root=sudo
	fi
	$as_root apt-get update -qq
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# .venv/ready is younger than what it was made from, or it is made again.
make_environment() {
	if [ .venv/ready -nt pyproject.toml ] && [ .venv/ready -nt hatch_build.py ]; then
		return
	fi
	python=$(find_python)
	[ -n "$python" ] || fail "no Python 3.11 or newer with the venv module on PATH"
	[ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch .venv/ready
}

fail() {
	echo "error: $*" >&2
	exit 1
}

main "$@"
