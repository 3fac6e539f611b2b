# shellcheck shell=bash disable=SC2034
title="a healthy host and its guest hypervisor, collected at the same time"
expect=none
layers=(L0 L1)
levels=1
physical

guest() {
    modprobe kvm_amd
    start_guest vm guest_l1 -cpu host &
    until_said /tmp/vm.console 'guest: up' 120
    collect host
    wait $!
}

guest_l1() {
    modprobe kvm_amd
    collect vm
}
