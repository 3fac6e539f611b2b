# shellcheck shell=bash disable=SC2034
title="a modprobe.d file keeps kvm_amd from being loaded by itself"
expect=kvm-module-not-loaded
with=(qemu)
facts=(modprobe.blacklist)

guest() {
    mkdir -p /etc/modprobe.d
    echo 'blacklist kvm_amd' >/etc/modprobe.d/local.conf
    # As udev does for the CPU's modalias.
    modprobe -b kvm_amd
    vmm 5
    collect host
}
