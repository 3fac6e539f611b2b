# shellcheck shell=bash disable=SC2034
title="/dev/kvm is root:kvm 0660, the user who starts QEMU is not in the group"
expect=dev-kvm-permission
with=(qemu)

guest() {
    modprobe kvm_amd
    chgrp kvm /dev/kvm
    chmod 660 /dev/kvm
    as_user
    vmm 5
    collect host
}
