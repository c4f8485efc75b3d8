#!/usr/bin/env bash
# Starts the relay in the foreground; the first start installs it into .venv. Options go to the relay (see --help).
# Unless they or the configuration file say something about it, there is a status page on port 8003 of this machine.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # it was started with sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit
. "$root/prepare.sh"

# The port is opened here and handed over as systemd does it (sd_listen_fds(3)): if it is taken, the relay starts
# without, and nobody can take it in between.
with_page='
import argparse, os, socket, sys, tomllib
twistd, *options = sys.argv[1:]
command = [twistd, "-n", "--pidfile=", "relay"]

def wants_page():
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in "--config", "--web":
        parser.add_argument(name, nargs="?", const="")
    for name in "--check", "--help", "-h", "--version":
        parser.add_argument(name, action="store_const", const="")
    given = vars(parser.parse_known_args(options)[0])
    file = given.pop("config")
    if any(value is not None for value in given.values()):
        return False
    try:
        return file is None or "web" not in tomllib.load(open(file, "rb")).get("web", {})
    except (OSError, ValueError, AttributeError):
        return False  # the relay says what is wrong with the file

if wants_page():
    try:
        page = socket.create_server(("127.0.0.1", 8003))
    except OSError as error:
        sys.stderr.write("relay: no status page, port 8003: %s\n" % os.strerror(error.errno))
    else:
        sys.stderr.write("relay: status page: http://127.0.0.1:8003/\n")
        os.dup2(page.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
        command += ["--web", "systemd:domain=INET:name=web"]
os.execv(twistd, command + options)
'
trap '' HUP # until the relay obeys it, a hangup must not end the start
exec "$root/.venv/bin/python" -I -c "$with_page" "$root/.venv/bin/twistd" "$@"
