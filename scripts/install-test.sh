#!/bin/sh
# scripts/install-test.sh [--suite bookworm] [--keep]: runs the commands of docs/guides/install.md, "An empty machine", word for word in a
# fresh root of Debian, then removes, installs again and purges the package. Needs root, debootstrap, and a built package with Node
# (npm run package:deb -- --with-node). CloudStack is the simulator; systemd does not run in such a root, so the daemon is started by hand
# where the guide says "systemctl restart".
set -eu
suite=bookworm
keep=no
while [ $# -gt 0 ]; do
	case "$1" in
	--suite) suite=$2 && shift ;;
	--keep) keep=yes ;;
	*) echo "unknown option $1" >&2 && exit 2 ;;
	esac
	shift
done
here=$(cd "$(dirname "$0")/.." && pwd)
deb=$(ls "$here"/build/volume-daemon_*_"$(dpkg --print-architecture)".deb)
root=$(mktemp -d /var/tmp/volume-install-XXXXXX)
pids=
finish() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	for pid in $(cat "$root/run/mysqld/mysqld.pid" "$root/run/vd.pid" 2>/dev/null); do kill "$pid" 2>/dev/null || true; done
	sleep 1
	umount "$root/proc" "$root/sys" 2>/dev/null || true
	[ "$keep" = yes ] || rm -rf --one-file-system "$root"
}
trap finish EXIT INT TERM
say() { echo "== $*"; }
fail() { echo "FAILED: $*" >&2 && exit 1; }
# The network of this machine, and nothing else of it. The mirror and its settings are those of this machine's apt.
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 chroot "$root" "$@"; }

say "a fresh $suite"
mirror=$(sed -n 's/^deb \(\[[^]]*\] \)*\(http[^ ]*\).*/\2/p; s/^URIs: *//p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "${mirror:-http://deb.debian.org/debian}" >"$root.log" 2>&1 || { tail "$root.log" >&2; fail debootstrap; }
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" -o ro
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$deb" "$root/root/"

say "CloudStack (simulated)"
node "$here/scripts/run.mjs" lab/cloudstack/main.ts --help >/dev/null
node "$here/scripts/run.mjs" lab/cloudstack/main.ts >"$root/root/cloudstack.log" 2>&1 &
pids="$pids $!"
until grep -q secret "$root/root/cloudstack.log"; do
	kill -0 $! || { cat "$root/root/cloudstack.log"; fail "the simulator"; }
	sleep 1
done
cat "$root/root/cloudstack.log"
