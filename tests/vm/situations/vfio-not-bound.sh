# shellcheck shell=bash disable=SC2034,SC2054
title="the network card to pass on is still bound to its driver"
expect=vfio-driver-not-bound
with=(qemu)
append=intel_iommu=on
qemu=(-device intel-iommu,intremap=on,caching-mode=on
    -device pcie-root-port,id=rp1,chassis=1,slot=1 -device e1000e,bus=rp1)

guest() {
    local card
    modprobe -a kvm_amd e1000e vfio-pci
    card=$(pci_devices 0x8086 0x10d3)
    vmm 10 -device "vfio-pci,host=$card"
    collect host
}
