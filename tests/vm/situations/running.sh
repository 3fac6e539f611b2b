# shellcheck shell=bash disable=SC2034
title="a guest runs by KVM while its host is collected"
expect=none
levels=1
facts=('kvmcount.total\[exits\] += [1-9]')

guest() {
    modprobe kvm_amd
    start_guest vm guest_l1 -cpu host &
    until_said /tmp/vm.console 'guest: up' 120
    collect host
    wait $!
}

guest_l1() {
    sleep 8
}
