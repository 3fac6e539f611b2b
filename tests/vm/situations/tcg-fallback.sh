# shellcheck shell=bash disable=SC2034
title="QEMU may fall back to emulation, and does, since /dev/kvm is root's"
expect=kvm-udev-rule-missing
with=(qemu)

guest() {
    modprobe kvm_amd
    as_user
    # The second accelerator after KVM.
    vmm 5 -accel tcg
    collect host
}
