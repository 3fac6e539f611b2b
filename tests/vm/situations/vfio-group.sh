# shellcheck shell=bash disable=SC2034,SC2054
title="two network cards behind one PCI bridge, only one of them bound to vfio-pci"
expect=iommu-group-not-viable
with=(qemu)
append=intel_iommu=on
qemu=(-device intel-iommu,intremap=on,caching-mode=on
    -device pcie-root-port,id=rp1,chassis=1,slot=1 -device pcie-pci-bridge,id=br1,bus=rp1
    -device e1000,bus=br1,addr=1 -device e1000,bus=br1,addr=2)

guest() {
    local cards
    modprobe -a kvm_amd e1000 vfio-pci
    mapfile -t cards < <(pci_devices 0x8086 0x100e)
    bind_vfio "${cards[0]}"
    vmm 10 -device "vfio-pci,host=${cards[0]}"
    collect host
}
