# shellcheck shell=bash disable=SC2034
title="QEMU wants its memory in huge pages through memfd, none is reserved"
expect=hugepages-exhausted
with=(qemu)

guest() {
    modprobe kvm_amd
    vmm 5 -m 256 -machine memory-backend=ram \
        -object memory-backend-memfd,id=ram,size=256M,hugetlb=on,prealloc=on
    collect host
}
