# shellcheck shell=bash disable=SC2034
title="the module kvm_amd is there, nothing loaded it"
expect=kvm-module-not-loaded
with=(qemu)

guest() {
    vmm 5
    collect host
}
