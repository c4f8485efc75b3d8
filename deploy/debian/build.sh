#!/usr/bin/env bash
# Builds a package for the Debian or Ubuntu that this is run on: relay_VERSION_ARCHITECTURE.deb, in the folder that is
# given or the current one, and prints its name. Needs python3 with its venv module, dpkg-deb, and a network.
#
#     bash deploy/debian/build.sh /tmp
#     apt install /tmp/relay_*.deb
#
# In the package is a virtual environment in /opt/relay, because Debian's own Twisted is too old. It belongs to the
# python3 that it was made with, so the package asks for that.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # it was started with sh
set -eu
umask 022
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=$(CDPATH='' cd -- "$here/../.." && pwd -P)
folder=${1:-.}
python=${PYTHON:-/usr/bin/python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
stage=$scratch/stage
opt=$stage/opt/relay

version=$("$python" -I -c 'import re, sys; print(re.search("__version__ = \"(.*)\"", open(sys.argv[1]).read())[1])' \
    "$root/relay/__init__.py")${REVISION:+-$REVISION}
series=$("$python" -I -c 'import sys; print("3.%d 3.%d" % (sys.version_info[1], sys.version_info[1] + 1))')
architecture=$(dpkg --print-architecture)

# A copy: building leaves things behind.
mkdir "$scratch/source"
tar -C "$root" --exclude=.git --exclude=.venv --exclude=node_modules --exclude=build -cf - . | tar -C "$scratch/source" -xf -
mkdir -p "$opt"
"$python" -I -m venv "$opt"
"$opt/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-compile "$scratch/source[web,top,journal]"
# Twisted notes beside the plugins which there are. The service could not write it.
"$opt/bin/python" -I -B -c 'from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))'

for file in relay.service relay-socket.service relay-publish.socket relay-subscribe.socket; do
    install -D -m 644 "$root/deploy/systemd/$file" "$stage/lib/systemd/system/$file"
done
# A package starts its service by itself: nobody is let in from the network before somebody has said so.
install -d "$stage/etc/relay" "$stage/usr/bin" "$stage/DEBIAN"
sed 's/^#\(publish\|subscribe\) = \["\(tcp:[0-9]*\)"\]$/\1 = ["\2:interface=127.0.0.1"]/' "$root/deploy/relay.toml" \
    >"$stage/etc/relay/relay.toml"
install -D -m 644 "$root/LICENSE" "$stage/usr/share/doc/relay/copyright"
ln -s /opt/relay/bin/relay "$stage/usr/bin/relay"

"$opt/bin/python" -I -m pip --quiet uninstall --yes pip setuptools
rm -f "$opt"/bin/[Aa]ctivate*
find "$opt" -name __pycache__ -prune -exec rm -r {} +
grep -rlIF "$stage" "$opt" | xargs -r sed -i "s|$stage||g" # the first lines of programs, and pyvenv.cfg
"$opt/bin/python" -I -m compileall -q -j 0 -s "$stage" -p / "$opt/lib"

sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@FROM@/${series% *}/" -e "s/@BEFORE@/${series#* }/" \
    -e "s/@SIZE@/$(du -sk "$stage" | cut -f1)/" "$here/control" >"$stage/DEBIAN/control"
echo /etc/relay/relay.toml >"$stage/DEBIAN/conffiles"
install -m 755 "$here/preinst" "$here/postinst" "$here/prerm" "$here/postrm" "$stage/DEBIAN"

package=$folder/relay_${version}_$architecture.deb
dpkg-deb --build --root-owner-group "$stage" "$package" >/dev/null
echo "$package"
