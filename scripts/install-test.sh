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
# TMPDIR=/dev/shm, where memory is plenty, makes it much faster.
root=$(mktemp -d "${TMPDIR:-/var/tmp}/volume-install-XXXXXX")
# The users of the packages have to get in.
chmod 755 "$root"
pids=
finish() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	# Whatever runs from that root, the holder of exports among it: it outlives the daemon. The database takes its time.
	for signal in TERM TERM TERM TERM TERM TERM TERM TERM TERM KILL KILL KILL; do
		left=
		for process in /proc/[0-9]*; do
			[ "$(readlink "$process/root")" != "$root" ] || { kill -s "$signal" "${process#/proc/}" 2>/dev/null && left=yes; } || true
		done
		[ -n "$left" ] || break
		sleep 1
	done
	umount "$root/proc" "$root/sys" 2>/dev/null || true
	[ "$keep" = yes ] || rm -rf --one-file-system "$root"
}
trap finish EXIT
trap 'exit 130' INT TERM
say() { echo "== $*"; }
fail() { echo "FAILED: $*" >&2 && exit 1; }
# The network of this machine, and nothing else of it. The mirror and its settings are those of this machine's apt.
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 chroot "$root" "$@"; }

say "a fresh $suite"
mirror=$(sed -n 's/^deb \(\[[^]]*\] \)*\(http[^ ]*\).*/\2/p; s/^URIs: *//p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
mkdir -p "$root/etc/dpkg/dpkg.cfg.d" && echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "${mirror:-http://deb.debian.org/debian}" >"$root.log" 2>&1 || { tail "$root.log" >&2; fail debootstrap; }
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" -o ro
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$deb" "$root/root/"

say "CloudStack (simulated), with a guest whose disks are files in the root"
(cd "$here" && exec node --import tsx lab/cloudstack/main.ts --vm-id 5d0c1f6e-8f0b-4f7e-9b1c-2f6f3f5f8a01 --guest "$root/guest") >"$root/root/cloudstack.json" &
pids="$pids $!"
until node -e 'JSON.parse(require("fs").readFileSync(process.argv[1]))' "$root/root/cloudstack.json" 2>/dev/null; do
	kill -0 "${pids##* }" || fail "the simulator"
	sleep 1
done
told() { node -p 'JSON.parse(require("fs").readFileSync(process.argv[1]))[process.argv[2]]' "$root/root/cloudstack.json" "$1"; }
place() { told "$1" | sed "s#^$root##"; }
told secretKey >"$root/root/cloudstack-secret" && chmod 600 "$root/root/cloudstack-secret"
# What systemd would do, and where the disks of the simulated guest are.
cat >"$root/usr/local/bin/systemctl" <<-END
	#!/bin/sh
	case "\$*" in
	'restart volume-daemon')
		kill \$(cat /run/vd.pid 2>/dev/null) 2>/dev/null || true
		set -a && . /root/unit.env && set +a
		mkdir -p /var/lib/volume-daemon /run/volume-daemon
		NBD_UNIT= NBD_MANAGE=own NBD_PORT=20809 NBD_READ_ONLY_PORT=20810 setsid /usr/lib/volume-daemon/bin/node /usr/lib/volume-daemon/server/index.mjs >/var/log/vd.log 2>&1 &
		echo \$! >/run/vd.pid
		for second in \$(seq 60); do volumectl health --quiet >/dev/null 2>&1 && exit 0; sleep 1; done
		tail -n 20 /var/log/vd.log >&2; exit 0 ;;
	*) exit 0 ;;
	esac
END
chmod 755 "$root/usr/local/bin/systemctl"
cat >"$root/root/guest.env" <<-END
	export SYS_BLOCK_DIR=$(place sysBlockDir) DEV_DIR=$(place devDir) PROC_DIR=$(place procDir) DMI_DIR=$(place dmiDir)
	export CLOUDSTACK_URL=$(told url) API_KEY=$(told apiKey) PATH=/usr/local/bin:\$PATH
END
# The unit reads this file literally; a shell needs quotes.
printf '%s\n' ". /root/guest.env" '. /root/quoted.env' >"$root/root/unit.env"
quote() { sed -n "s/^\([A-Z_]*\)=\(.*\)/\1='\2'/p" "$root/etc/default/volume-daemon" >"$root/root/quoted.env"; }

run() {
	echo "\$ $1"
	[ ! -e "$root/etc/default/volume-daemon" ] || quote
	inside sh -ec ". /root/guest.env; cd /root; $1" >"$root/root/out" 2>&1 || { tail -n 40 "$root/root/out"; fail "$1"; }
	case "$1" in volumectl*) cat "$root/root/out" ;; esac
	# The package starts it; here nobody would.
	if [ -x "$root/usr/sbin/mariadbd" ] && ! inside mariadb-admin ping >/dev/null 2>&1; then
		inside install -d -o mysql -g mysql /run/mysqld
		inside setsid mariadbd --user=mysql --bind-address=127.0.0.1 --pid-file=/run/mysqld/mysqld.pid >/dev/null 2>&1 &
		for second in $(seq 60); do inside mariadb-admin ping >/dev/null 2>&1 && return; sleep 1; done
		fail "mariadbd does not start"
	fi
}
commands() {
	awk '/^## /{on = ($0 == "## An empty machine")} /^```/{in_block = on && !in_block && $0 == "```sh"; next} on && in_block && !/^#/ && NF' "$here/docs/guides/install.md"
}

say "the commands of the chapter"
commands | while read -r line; do run "${line%%  #*}"; done
say "again: setup changes nothing, and the daemon is healthy"
run "$(commands | grep '^volumectl setup')"
! grep -E ' (made|missing) ' "$root/root/out" || fail "setup is not idempotent"
run "volumectl health --quiet"

enabled() { ls "$root"/etc/rc[2-5].d/S??nbd-server >/dev/null 2>&1; }
say "a foreign nbd-server: switched off while the package is there, and back when it is not"
run "apt-get purge -y -q volume-daemon"
run "apt-get install -y -q nbd-server"
enabled || fail "nbd-server is not enabled by its own package: nothing can be tried here"
run "apt-get install -y -q ./$(basename "$deb")"
! enabled || fail "nbd-server is enabled beside the package"
run "apt-get remove -y -q volume-daemon"
enabled || fail "removing the package has not given nbd-server back"
run "apt-get install -y -q ./$(basename "$deb")"
! enabled || fail "nbd-server is enabled after installing again"
conf="$root/etc/nbd-server/conf.d"
mkdir -p "$conf"
printf '[migration-vol-1]\n\texportname = /run/volume-daemon/exports/migration-vol-1\n' >"$conf/migration-vol-1.conf"
printf '[migration-vol-2]\nexportname = /dev/vdb\n' >"$conf/migration-vol-2.conf"
run "apt-get purge -y -q volume-daemon"
[ ! -e "$conf/migration-vol-1.conf" ] || fail "purging the package has left an export of ours"
[ -e "$conf/migration-vol-2.conf" ] || fail "purging the package has deleted an export of the Go daemon"
enabled || fail "purging the package has not given nbd-server back"
left=$(cd "$root" && find etc var/lib usr lib -path '*volume-daemon*' ! -path 'var/lib/dpkg/*' ! -path '*/apt/*' 2>/dev/null || true)
[ -z "$left" ] || fail "left behind by purge: $left"
say "everything is as it should be ($suite, $(basename "$deb"))"
