# shellcheck shell=bash disable=SC2034
title="the host can nest, its guest was given a named CPU model without svm"
expect=guest-cpu-model-hides-virt
layers=(L0 L1)
levels=1
physical

guest() {
    modprobe kvm_amd nested=1
    collect host
    # QEMU leaves svm out of every named model under KVM.
    start_guest vm guest_l1 -cpu EPYC
}

guest_l1() {
    modprobe kvm_amd || true
    vmm 5
    collect vm
}
