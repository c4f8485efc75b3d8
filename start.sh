#!/usr/bin/env bash
# Starts the relay in the foreground; the first start installs it into .venv. Options go to the relay (see --help).
# Unless they say something about it, there is a status page on port 8003 of this machine.
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit
. "$root/prepare.sh"

is_free='
import socket, sys
try:
    socket.create_server(("127.0.0.1", 8003))
except OSError as error:
    sys.exit("relay: no status page: port 8003: %s" % error.strerror)
'
case " $* " in
*" --web"* | *" --config"* | *" --check "* | *" --help "* | *" --version "*) ;;
*)
    if "$root/.venv/bin/python" -I -c "$is_free"; then
        set -- --web tcp:8003:interface=127.0.0.1 "$@"
        say "status page: http://127.0.0.1:8003/"
    fi
    ;;
esac
exec "$root/.venv/bin/twistd" -n --pidfile= relay "$@"
