#!/bin/bash
# Builds the guest's root file system from Debian packages: guest-image.sh <step> <folder>. Called by image.ts, which caches both steps.
#   packages  debootstrap, and the kernel and a static busybox beside it → <folder>/packages.tar
#   image     that, with the services of the appliance test → <folder>/{root.img,vmlinuz,initrd,busybox}
set -euo pipefail
cd "$2"
here=$(dirname "$(readlink -f "$0")")

SUITE=bookworm
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
PACKAGES=systemd,systemd-sysv,udev,dbus,init-system-helpers,nbdkit,nbd-server,mariadb-server-core,mariadb-client-core,iproute2,kmod,libstdc++6,procps,lvm2,mdadm,gdisk,udisks2
MODULES="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover virtio_net"

packages() {
	debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" root "$MIRROR"
	# The names of kernel packages change with every update; the meta package knows the present one.
	chroot root apt-get update -qq
	kernel=$(chroot root apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
	mkdir root/extra
	chroot root sh -c "cd /extra && apt-get download -qq -o APT::Sandbox::User=root '$kernel' busybox-static"
	for deb in root/extra/*.deb; do dpkg-deb -x "$deb" root/extra; done
	rm -rf root/extra/*.deb root/var/cache/apt root/var/lib/apt/lists/* root/usr/share/{doc,man,locale,info}
	tar -C root -cf packages.tar.part . && mv packages.tar.part packages.tar
	rm -rf root
}

image() {
	mkdir root && tar -C root -xf packages.tar
	mv root/extra extra
	cp extra/boot/vmlinuz-* vmlinuz
	cp extra/bin/busybox busybox
	initrd
	mkdir -p root/lib/modules && cp -r extra/lib/modules/. root/lib/modules/
	chroot root depmod "$(ls root/lib/modules)"
	cp -r "$here/guest-files/." root/
	chmod 755 root/usr/local/sbin/*
	configure
	spare_the_prime_search
	# With a journal: the guest is powered off hard.
	truncate -s 1800M root.img
	mke2fs -q -t ext4 -L appliance -d root root.img
	rm -rf root extra
}

initrd() {
	mkdir -p ramdisk/{bin,proc,sys,dev,root,modules}
	cp busybox ramdisk/bin/
	for module in $MODULES; do
		path=$(find extra/lib/modules -name "$module.ko*" -print -quit)
		# Some are built into some kernels.
		if [ -n "$path" ]; then cp "$path" ramdisk/modules/; fi
	done
	cp "$here/guest-init.sh" ramdisk/init
	sed -i "s/@MODULES@/$MODULES/" ramdisk/init
	chmod 755 ramdisk/init
	(cd ramdisk && find . | ../busybox cpio -o -H newc | gzip -1) >initrd
	rm -rf ramdisk
}

configure() {
	echo appliance >root/etc/hostname
	printf '127.0.0.1 localhost appliance\n' >root/etc/hosts
	printf 'LABEL=appliance / ext4 defaults 0 1\n' >root/etc/fstab
	rm -f root/etc/machine-id && echo uninitialized >root/etc/machine-id
	mkdir -p root/var/log/journal
	echo force-unsafe-io >root/etc/dpkg/dpkg.cfg.d/appliance
	chroot root useradd --system --home /var/lib/mysql --shell /usr/sbin/nologin mysql
	chroot root mariadb-install-db --defaults-file=/etc/mysql/appliance.cnf --user=mysql --skip-test-db --auth-root-authentication-method=normal >/dev/null
	for unit in mariadb appliance-network appliance-agent.socket api-proxy.socket nbd-proxy.socket; do
		chroot root systemctl --quiet enable "$unit"
	done
	chroot root systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
		systemd-timesyncd.service getty@tty1.service serial-getty@ttyS0.service console-getty.service systemd-tmpfiles-clean.timer \
		systemd-networkd-wait-online.service e2scrub_reap.service
	chroot root systemctl --quiet set-default multi-user.target
}

# At every start nbd-server looks for a prime for TLS, which nothing here uses: up to 3 s on a processor, minutes under emulation. The
# call is given the name of one that does nothing the second time; everything else of the server is as Debian ships it.
spare_the_prime_search() {
	LC_ALL=C sed -i 's/gnutls_dh_params_generate2/gnutls_global_init\x00\x00\x00\x00\x00\x00\x00\x00/' root/usr/bin/nbd-server
	! grep -q gnutls_dh_params_generate2 root/usr/bin/nbd-server
}

"$1"
