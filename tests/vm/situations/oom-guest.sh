# shellcheck shell=bash disable=SC2034
title="a machine of 768 MiB, itself a guest, whose QEMU takes 2 GiB at once"
expect=l1-memory-too-small
with=(qemu)
memory=768

guest() {
    modprobe kvm_amd
    vmm 60 -m 2048 -mem-prealloc
    collect host
}
