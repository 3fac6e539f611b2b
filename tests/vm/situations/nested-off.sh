# shellcheck shell=bash disable=SC2034
title="kvm_amd of the host runs with nested=0; QEMU fails in its guest"
expect=nested-disabled-on-l0
layers=(L0 L1)
levels=1
physical

guest() {
    modprobe kvm_amd nested=0
    collect host
    start_guest vm guest_l1 -cpu host
}

guest_l1() {
    modprobe kvm_amd || true
    vmm 5
    collect vm
}
