#!/usr/bin/env bash
# Starts the publisher; options go to it (see --help).
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit
. "$root/prepare.sh"
exec "$root/.venv/bin/python" -P -m tester.publisher "$@"
