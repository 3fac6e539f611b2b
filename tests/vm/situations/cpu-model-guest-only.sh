# shellcheck shell=bash disable=SC2034
title="a guest of QEMU with a named CPU model without svm; nobody collected its host"
expect=guest-cpu-model-hides-virt
layers=(L1)
with=(qemu)
cpu=EPYC,-svm

guest() {
    modprobe kvm_amd || true
    vmm 5
    collect vm
}
