#!/usr/bin/env bash
# Installs what is missing and runs every check, the quickest first; says in the end which of them failed.
# With arguments only the tests are run, with these for pytest: bash test.sh -k framing -x
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit
relay_extra='[test]'
. "$root/prepare.sh"
cd "$root" || exit
export PATH="$root/.venv/bin:$root/node_modules/.bin:$PATH"

[ $# -eq 0 ] || exec pytest "$@"

scratch=$(mktemp -d) || exit
trap 'rm -rf "$scratch"' EXIT

failed=
step() {
    printf '\n== %s\n' "$*"
    "$@" || failed="$failed
  $*"
}

step ruff check
step ruff format --check
if command -v shellcheck >/dev/null; then
    step shellcheck --external-sources ./*.sh .ci/run tester/*/start.sh
else
    printf '\n== no shellcheck here: the scripts are not checked\n'
fi
step mypy
step trial --temp-directory="$scratch/trial" tests
step coverage erase
step coverage run -m pytest
step coverage combine --quiet
step coverage report

if [ -n "$failed" ]; then
    printf '\nFAILED:%s\n' "$failed" >&2
    exit 1
fi
printf '\nEvery step passed.\n'
