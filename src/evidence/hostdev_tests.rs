//! Tests of assigned devices and virtual IOMMUs.

use super::*;
use crate::evidence::testing::{read, read_part};

fn all(out: &Out) -> Vec<String> {
    let show = |f: &crate::model::Fact| {
        format!("{} {}={}", f.instance.clone().unwrap_or_default(), f.name, f.value)
    };
    out.facts.iter().map(show).collect()
}

const DOMAIN: &str = "<domain type='kvm'>\n<name>nfv</name>\n\
    <memtune><hard_limit unit='GiB'>20</hard_limit></memtune>\n\
    <memoryBacking><locked/></memoryBacking>\n\
    <features><ioapic driver='qemu'/></features>\n<devices>\n\
    <hostdev mode='subsystem' type='pci' managed='yes'><source>\
    <address domain='0x0000' bus='0x82' slot='0x10' function='0x1'/></source></hostdev>\n\
    <hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>\n\
    <interface type='hostdev'><source><address type='pci' domain='0x0000' bus='0x03' slot='0x02' function='0x0'/></source></interface>\n\
    <iommu model='intel'><driver intremap='on' aw_bits='48'/></iommu>\n</devices>\n</domain>\n";

#[test]
fn a_domain_of_libvirt() {
    let out = read(parse, "etc/libvirt/qemu/nfv.xml", DOMAIN);
    assert_eq!(
        all(&out),
        [
            "nfv hostdev.devices=0000:03:02.0 0000:82:10.1",
            "nfv viommu.split_irqchip=true",
            "nfv viommu.model=intel",
            "nfv viommu.intremap=true",
            "nfv viommu.caching_mode=false",
            "nfv viommu.aw_bits=48",
            "nfv domain.hard_limit_kib=20971520",
            "nfv domain.locked=true",
        ]
    );
    let end = DOMAIN.find("<driver").unwrap();
    let cut = read_part(parse, "etc/libvirt/qemu/nfv.xml", &DOMAIN[..end], false);
    assert!(!all(&cut).iter().any(|f| f.contains("caching_mode")), "{:?}", all(&cut));
    assert!(read(parse, "etc/libvirt/qemu/networks.xml", "<network/>").facts.is_empty());
}

fn command(text: &str) -> Vec<String> {
    let mut out = Out::default();
    arguments("a", &shell::words(text), &Origin::default(), &mut out);
    all(&out)
}

#[test]
fn command_lines_of_qemu() {
    assert_eq!(
        command(
            "-machine q35,kernel_irqchip=split -device intel-iommu,caching-mode=on,aw-bits=39 -device vfio-pci,host=01:00.0,x-vga=on"
        ),
        [
            "a viommu.split_irqchip=true",
            "a viommu.model=intel",
            "a viommu.caching_mode=true",
            "a viommu.aw_bits=39",
            "a hostdev.devices=0000:01:00.0"
        ]
    );
    assert_eq!(
        command(
            "-device '{\"driver\":\"intel-iommu\",\"id\":\"iommu0\",\"intremap\":\"on\",\"aw-bits\":48}' -device '{\"driver\":\"vfio-pci\",\"host\":\"0000:82:00.1\"}'"
        ),
        [
            "a viommu.model=intel",
            "a viommu.intremap=true",
            "a viommu.caching_mode=false",
            "a viommu.aw_bits=48",
            "a hostdev.devices=0000:82:00.1"
        ]
    );
    assert_eq!(
        command("-device vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:05:00.0 -device e1000"),
        ["a hostdev.devices=0000:05:00.0"]
    );
    assert!(command("-device").is_empty());
}

#[test]
fn other_managers_of_guests() {
    let text = "hostpci0: 0000:0c:00,pcie=1,x-vga=1\nhostpci1: 03:00.1;03:00.2\nmachine: q35,viommu=intel\nname: x\n[old]\nhostpci2: 04:00.0\n";
    assert_eq!(
        all(&read(parse, "etc/pve/qemu-server/110.conf", text)),
        ["110 viommu.model=intel", "110 hostdev.devices=0000:03:00.1 0000:03:00.2 0000:0c:00"]
    );
    let text = "b 4711 0.0 pts/1 Sl+ 0:00 ./cloud-hypervisor --memory size=4G --device path=/sys/bus/pci/devices/0000:03:00.0/,iommu=on\n\
        b 4712 0.0 pts/1 S+ 0:00 grep cloud-hypervisor /sys/bus/pci/devices/0000:04:00.0\n";
    assert_eq!(all(&read(parse, "commands/ps.txt", text)), ["4711 hostdev.devices=0000:03:00.0"]);
}
