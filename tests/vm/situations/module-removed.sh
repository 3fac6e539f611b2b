# shellcheck shell=bash disable=SC2034
title="the KVM modules of the running kernel are gone"
expect=kernel-without-kvm
with=(qemu)

guest() {
    rm -r /lib/modules/*/kernel/arch/x86/kvm
    depmod
    attempt 5 modprobe kvm_amd
    vmm 5
    collect host
}
