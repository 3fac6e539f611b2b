# shellcheck shell=bash disable=SC2034
title="a guest with its host's CPU model and no svm; nobody collected the host, whose nested is 0"
expect=nested-disabled-on-l0
layers=(L1)
levels=1
physical

guest() {
    modprobe kvm_amd nested=0
    start_guest vm guest_l1 -cpu host
}

guest_l1() {
    modprobe kvm_amd || true
    vmm 5
    collect vm
}
