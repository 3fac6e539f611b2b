# shellcheck shell=bash disable=SC2034,SC2054
title="a network card in a group of its own is passed on"
expect=none
with=(qemu)
append=intel_iommu=on
qemu=(-device intel-iommu,intremap=on,caching-mode=on
    -device pcie-root-port,id=rp1,chassis=1,slot=1 -device e1000e,bus=rp1)

guest() {
    local card
    modprobe -a kvm_amd vfio-pci
    card=$(pci_devices 0x8086 0x10d3)
    bind_vfio "$card"
    vmm 10 -device "vfio-pci,host=$card"
    collect host
}
