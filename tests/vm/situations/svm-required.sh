# shellcheck shell=bash disable=SC2034
title="QEMU must give its guest svm, and kvm_amd runs with nested=0"
expect=nested-disabled-on-l0
layers=(L0)
with=(qemu)
physical

guest() {
    modprobe kvm_amd nested=0
    vmm 5 -cpu EPYC,+svm,enforce
    collect host
}
