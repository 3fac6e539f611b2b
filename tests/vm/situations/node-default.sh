# shellcheck shell=bash disable=SC2034
title="/dev/kvm has the kernel's own root:root 0600, an ordinary user starts QEMU"
expect=kvm-udev-rule-missing
with=(qemu)

guest() {
    modprobe kvm_amd
    as_user
    vmm 5
    collect host
}
