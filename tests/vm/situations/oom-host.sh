# shellcheck shell=bash disable=SC2034
title="a physical host of 768 MiB whose QEMU fills 640 MiB"
expect=host-memory-overcommit
with=(qemu)
memory=768
physical

guest() {
    modprobe kvm_amd
    vmm 60 -m 640 -mem-prealloc
    collect host
}
