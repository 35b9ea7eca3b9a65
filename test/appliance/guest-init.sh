#!/bin/busybox sh
# /init of the guest's initrd: the virtio modules, then the root disk by its label (letters are shuffled on purpose).
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in @MODULES@; do
	for file in /modules/$module.ko*; do [ -e "$file" ] && /bin/busybox insmod "$file"; done
done
tries=0
until root=$(/bin/busybox findfs LABEL=appliance 2>/dev/null) || [ $tries -gt 600 ]; do
	/bin/busybox sleep 0.05
	tries=$((tries + 1))
done
/bin/busybox mount -t ext4 "$root" /root || exec /bin/busybox sh
/bin/busybox umount /proc /sys
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /lib/systemd/systemd
