# shellcheck shell=bash
# Sourced, with `root` set to the folder of this file: sees to it that $root/.venv holds the relay as setup.cfg wants
# it, with its web port, or ends the script that sourced it. With relay_extra='[test]', what the tests need is in it too.
#
# .venv/ready is written last and holds what was installed, and where. So an installation that was killed, a checkout
# that was moved (a virtual environment is full of absolute paths) and a changed setup.cfg all look alike, and one
# thing cures them: starting over. When there is nothing to do, this runs no Python and needs no network.
#
# Needs Python with its venv module and bash (3.2 will do, macOS has no newer one), not flock(1) and not git.

relay_extra=${relay_extra:-}
root=$(CDPATH='' cd -- "$root" && pwd -P) || exit
venv=$root/.venv
wanted=$root$'\n'$(cat "$root/setup.cfg") || exit

say() { printf 'relay: %s\n' "$1" >&2; }

die() {
    say "$1"
    exit 1
}

# -x is false as well for a link to a Python that a system upgrade has taken away.
is_ready() { [ -x "$venv/bin/python" ] && [ "$(cat "$venv/ready$relay_extra" 2>/dev/null)" = "$wanted" ]; }

# Every Python back to 2 can run this and say why it will not do. One that will do prints its real path: real for the
# -x above, and not that of a virtual environment which happens to be active and may be gone tomorrow.
check_python='
import os, sys
version = "%d.%d" % sys.version_info[:2]
if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed, and %s is %s" % (sys.executable, version))
try:
    import ensurepip, venv
except ImportError:
    sys.exit("%s has no venv module (Debian and Ubuntu: apt install python%s-venv)" % (sys.executable, version))
print(os.path.realpath(sys._base_executable))
'

# Sets `python`. If no candidate will do, says what is wrong with the first.
find_python() {
    local candidate problem=''
    set -- python3 python3.14 python3.13 python3.12 python3.11
    [ -z "${PYTHON:-}" ] || set -- "$PYTHON"
    for candidate; do
        command -v "$candidate" >/dev/null || continue
        python=$("$candidate" -c "$check_python" 2>&1) && return
        problem=${problem:-$python}
    done
    die "${problem:-Python 3.11 or newer is needed, and there is no working $1}; another can be named with PYTHON=/path/to/python3"
}

# Descriptor 9 is locked for whoever has it open: this shell and pip. The kernel unlocks it when the last has ended,
# however it ended.
take_lock='
import fcntl, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.stderr.write("relay: another start is installing, waiting for it\n")
    fcntl.flock(9, fcntl.LOCK_EX)
'

# -I: neither PYTHONPATH nor what lies about in the current folder gets in the way.
install_relay() {
    local trouble
    trap 'exit 130' INT # Ctrl-C needs no explanation
    find_python
    [ -w "$root" ] || die "is not installed yet, and $root may not be written to"
    cd "$root" || exit
    exec 9<>prepare.sh || exit # any file that is there would do; open for writing, because NFS wants that of a lock
    "$python" -I -c "$take_lock" || exit
    is_ready && return
    say "installing into $venv (about half a minute)"
    rm -f "$venv"/ready*
    trouble=$("$python" -I -m venv --clear "$venv" 2>&1) ||
        die "could not create $venv: $trouble"
    "$venv/bin/python" -I -m pip install --quiet --disable-pip-version-check --editable ".${relay_extra:-[web]}" ||
        die "could not install what setup.cfg asks for (is there a network?); the next start tries again"
    # Twisted notes beside the plugins which there are. Done now, it need not be possible later.
    "$venv/bin/python" -I -c 'from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))' ||
        die "could not load Twisted's plugins; the next start tries again"
    printf '%s\n' "$wanted" | tee "$venv/ready" "$venv/ready$relay_extra" >/dev/null
}

# In a subshell, whose end gives the lock back. Input and output are those of the program that is to be started.
is_ready || (install_relay) </dev/null >&2 || exit
