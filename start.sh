#!/usr/bin/env bash
# Starts the relay in the foreground; the first start installs it into .venv. Options go to the relay (see --help).
# Unless they say something about it, there is a status page on port 8003 of this machine.
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit
. "$root/prepare.sh"

# The port is opened here and handed over as systemd does it (sd_listen_fds(3)): if it is taken, the relay starts
# without, and nobody can take it in between.
with_page='
import os, socket, sys
twistd, *options = sys.argv[1:]
command = [twistd, "-n", "--pidfile=", "relay"]
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
case " $* " in
*" --web"* | *" --config"* | *" --check "* | *" --help "* | *" --version "*)
    exec "$root/.venv/bin/twistd" -n --pidfile= relay "$@"
    ;;
*)
    exec "$root/.venv/bin/python" -I -c "$with_page" "$root/.venv/bin/twistd" "$@"
    ;;
esac
