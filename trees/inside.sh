#!/bin/sh
# Becomes the machine. In mount and process namespaces of its own, so that nothing of it outlives them.
#   inside.sh CONTROL_GROUP LOWER PLACE NAMESPACE NAME DEBS
set -eu
echo 0 >"$1/cgroup.procs"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$3/disk,workdir=$3/work" "$3/root"
# systemd-nspawn wants one hierarchy, and tells a machine's own from it
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
# its scratch files may not lie on a disk
mount -t tmpfs tmpfs /run/systemd
exec systemd-nspawn --quiet --directory="$3/root" --boot --machine="$5" --register=no --keep-unit \
  --network-namespace-path="/run/netns/$4" --capability=CAP_NET_ADMIN --bind-ro="$6:/srv/debs" \
  --resolv-conf=off --timezone=off --link-journal=no --console=pipe
