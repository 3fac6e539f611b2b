# shellcheck shell=bash disable=SC2034
title="QEMU wants 256 MiB in huge pages, 64 MiB are reserved"
expect=hugepages-exhausted
with=(qemu)

guest() {
    modprobe kvm_amd
    mkdir -p /dev/hugepages
    mount -t hugetlbfs hugetlbfs /dev/hugepages
    echo 32 >/proc/sys/vm/nr_hugepages
    vmm 5 -m 256 -mem-path /dev/hugepages -mem-prealloc
    collect host
}
