# shellcheck shell=bash disable=SC2034,SC2054
title="the user who passes a network card on may lock 8 MiB of memory"
expect=memlock-limit-too-low
with=(qemu)
append=intel_iommu=on
qemu=(-device intel-iommu,intremap=on,caching-mode=on
    -device pcie-root-port,id=rp1,chassis=1,slot=1 -device e1000e,bus=rp1)

guest() {
    local card
    modprobe -a kvm_amd vfio-pci
    card=$(pci_devices 0x8086 0x10d3)
    bind_vfio "$card"
    chmod 666 /dev/kvm /dev/vfio/*
    ulimit -l 8192
    as_user
    vmm 10 -m 256 -device "vfio-pci,host=$card"
    as=()
    collect host
}
