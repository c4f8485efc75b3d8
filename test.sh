#!/usr/bin/env bash
# Installs what is missing and runs every check, the quickest first; says in the end which of them failed, how long each
# took, and which tests were the slowest.
#
# With arguments only tests are run, by pytest, with these: folders and files under tests/, and options.
#
#     bash test.sh unit                    # seconds: no process is started
#     bash test.sh unit/core/test_hub.py   # tests/unit/core/test_hub.py will do too, and ...::HubTests
#     bash test.sh faults -k reset -x
#     bash test.sh process web -n auto     # side by side
#     bash test.sh long model --thorough   # what can be tried any number of times is tried often: an hour
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # it was started with sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit
relay_extra='[test]'
. "$root/prepare.sh"
cd "$root" || exit
export PATH="$root/.venv/bin:$root/node_modules/.bin:$PATH"

if [ $# -gt 0 ]; then
    arguments=()
    before=
    for argument; do
        case $before in
        -[kmnpcoWr]) ;; # what follows is that option's, not a folder
        *) [ ! -e "tests/${argument%%::*}" ] || argument=tests/$argument ;;
        esac
        before=$argument
        arguments+=("$argument")
    done
    exec pytest "${arguments[@]}"
fi

scratch=$(mktemp -d) || exit
trap 'rm -rf "$scratch"' EXIT

failed=
times=
step() {
    local begin=$SECONDS
    printf '\n== %s\n' "$*"
    "$@" || failed="$failed
  $*"
    times="$times$(printf '%6d s  %s' $((SECONDS - begin)) "${*//$scratch/...}")
"
}

# Most tests wait most of the time, and run side by side. What measures time has the machine for itself. What takes two
# minutes comes last, where it is in nobody's way; beside it run, two at a time, tests that need a processor.
tests() {
    local name=$1
    shift
    step coverage run -m pytest --junit-xml="$scratch/$name.xml" "$@"
}

step ruff check
step ruff format --check
if command -v shellcheck >/dev/null; then
    step shellcheck --external-sources ./*.sh .ci/* deploy/debian/*.sh deploy/debian/p* tester/*/start.sh
else
    printf '\n== no shellcheck here: the scripts are not checked\n'
fi
step mypy
step lint-imports
step coverage erase
step coverage run -m twisted.trial --temp-directory="$scratch/trial" tests/unit
tests beside -n auto --dist loadfile -m 'not alone' --ignore-glob='tests/[uml]*'
tests alone -m alone --ignore=tests/unit
tests long -n 3 --dist worksteal -m 'not alone' tests/long tests/model
step coverage combine --quiet
step coverage report

printf '\n== how long each step took\n%s' "$times"
printf '\n== the slowest tests\n'
python -m tests.kit.slowest "$scratch"/*.xml

if [ -n "$failed" ]; then
    printf '\nFAILED:%s\n' "$failed" >&2
    exit 1
fi
printf '\nEvery step passed.\n'
