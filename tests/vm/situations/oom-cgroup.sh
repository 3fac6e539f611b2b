# shellcheck shell=bash disable=SC2034
title="QEMU's memory cgroup holds less than the guest's RAM and QEMU itself"
expect=cgroup-limit-below-qemu-overhead
with=(qemu)

guest() {
    local group=/sys/fs/cgroup/machine.slice
    modprobe kvm_amd
    echo +memory >/sys/fs/cgroup/cgroup.subtree_control
    mkdir $group
    echo 268435456 >$group/memory.max
    # What is forked from here on is counted there.
    echo $BASHPID >$group/cgroup.procs
    vmm 60 -m 256 -mem-prealloc
    echo $BASHPID >/sys/fs/cgroup/cgroup.procs
    collect host
}
