#!/usr/bin/env bash
# Starts the relay in the foreground; the first start installs it into .venv. Options go to the relay (see --help).
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit
. "$root/prepare.sh"
exec "$root/.venv/bin/twistd" -n --pidfile= relay "$@"
