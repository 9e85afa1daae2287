#!/bin/busybox sh
# First program of a guest: mounts what a machine has, runs one command in a cgroup of its own, hands over
# what it left in /vm/out, and ends the machine. Everything for the host goes to the second serial port.
/bin/busybox --install -s /bin
export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /tmp /run /vm/out
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
# Nothing is mounted on it: the checkout may lie there.
chmod 1777 /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
hostname guest
ip link set lo up

stty -F /dev/ttyS1 raw
exec 3>/dev/ttyS1
leave() {
    printf '\nwattrace-vm exit %s\n' "$1" >&3
    # Closing waits until everything is sent.
    exec 3>&-
    poweroff -f
}

printf 'wattrace-vm boot %s\n' "$(uname -r)" >&3
for module in /vm/modules/*; do
    [ -e "$module" ] || continue
    insmod "$module" 2>&3 || leave 1
done
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
# As a service has it that loads kernel programs: before 5.11 their memory counted.
ulimit -l unlimited
own=/sys/fs/cgroup/system.slice/wattrace-test.service
mkdir -p $own
OWN=$own sh -c 'echo $$ >"$OWN/cgroup.procs" && exec /vm/command' </dev/null >&3 2>&1
code=$?
cd /vm/out
for file in *; do
    [ -f "$file" ] || continue
    printf '\nwattrace-vm record %s %s\n' "$(stat -c %s "$file")" "$file" >&3
    cat "$file" >&3
done
leave $code
