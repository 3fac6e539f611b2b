# shellcheck shell=bash disable=SC2034
title="L0, L1 and L2, each collected while all run"
expect=none
layers=(L0 L1 L2)
facts=('kvmcount.total\[nested_run\] += [1-9]')
levels=2
memory=4096
seconds=300
physical

guest() {
    modprobe kvm_amd
    start_guest vm guest_l1 -cpu host -uuid 5a1fd5b5-9a2e-4a0b-a6ac-08d3ff5d3f11 &
    until_said /tmp/vm.console 'inner: guest: up' 600
    collect host
    wait $!
}

guest_l1() {
    modprobe kvm_amd
    start_guest inner guest_l2 -cpu host -name inner -uuid 1f6ab9ad-1a6e-4e27-a3b5-6bd53d1a2c77 &
    until_said /tmp/inner.console 'guest: up' 600
    collect vm
    wait $!
}

guest_l2() {
    collect inner
}
