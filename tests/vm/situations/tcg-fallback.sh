# shellcheck shell=bash disable=SC2034
title="QEMU may fall back to emulation, and does, since /dev/kvm is root's"
expect=kvm-udev-rule-missing
with=(qemu)

guest() {
    modprobe kvm_amd
    as_user
    attempt 5 "${as[@]}" qemu-system-x86_64 -nodefaults -no-user-config -display none -monitor none \
        -serial none -S -m 64 -machine q35,accel=kvm:tcg
    collect host
}
