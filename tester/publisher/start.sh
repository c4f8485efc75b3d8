#!/usr/bin/env bash
# Starts the publisher; options go to it (see --help).
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # it was started with sh
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit
. "$root/prepare.sh"
exec "$root/.venv/bin/python" -P -m tester.publisher "$@"
