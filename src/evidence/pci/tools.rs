//! Tools that bind drivers: driverctl(8) and DPDK's `dpdk-devbind --status`.
//!
//! `driverctl list-devices` prints `0000:02:00.0 ixgbe [*] (description)`, with `(none)` where no
//! driver is bound. `dpdk-devbind` prints `0000:03:00.0 'X710' if=eth0 drv=i40e unused=vfio-pci
//! *Active*`; without `drv=` there is no driver.

use super::Device;
use crate::model::{Origin, Out, Piece};
use crate::parse::{lines, pci};

pub(super) fn driverctl(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (number, line) in lines(text) {
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(pci::address) else { continue };
        let Some(driver) = words.next() else { continue };
        let driver = if driver == "(none)" { "none" } else { driver };
        if driver.starts_with('(') {
            continue;
        }
        let origin = Origin::new(piece.path, Some(number), line);
        Device { out, address, origin }.text("pci.driver", driver);
    }
}

pub(super) fn devbind(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (number, line) in lines(text) {
        let Some((first, rest)) = line.trim().split_once(' ') else { continue };
        let Some(address) = pci::address(first) else { continue };
        let origin = Origin::new(piece.path, Some(number), line);
        let mut device = Device { out, address, origin };
        let mut words = rest.split_whitespace();
        let driver = words.find_map(|w| w.strip_prefix("drv=")).filter(|d| !d.is_empty());
        device.text("pci.driver", driver.unwrap_or("none"));
        // `'Ethernet Controller X710 1572'`
        if let Some(name) = rest.strip_prefix('\'').and_then(|r| r.split('\'').next()) {
            device.text("pci.name", name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::evidence::testing::read;

    fn drivers(path: &str, text: &str) -> Vec<String> {
        let out = read(parse, path, text);
        let drivers = out.facts.iter().filter(|f| f.name == "pci.driver");
        drivers.map(|f| format!("{} {}", f.instance.clone().unwrap(), f.value)).collect()
    }

    #[test]
    fn both_tools() {
        let text = "0000:02:00.0 ixgbe (Ethernet Controller)\n0000:02:00.1 vfio-pci [*]\n0000:03:00.0 (none)\n";
        assert_eq!(
            drivers("commands/driverctl.txt", text),
            ["0000:02:00.0 ixgbe", "0000:02:00.1 vfio-pci", "0000:03:00.0 none"]
        );
        let text = "Network devices using DPDK-compatible driver\n====\n\
            0000:03:00.3 'Ethernet Controller X710 1572' drv=vfio-pci unused=i40e\n\n\
            Network devices using kernel driver\n====\n\
            0000:03:00.0 'Ethernet Controller X710 1572' if=eno1 drv=i40e unused=vfio-pci *Active*\n\n\
            Other Network devices\n====\n0000:04:00.0 'I350 1521' unused=igb,vfio-pci\n";
        assert_eq!(
            drivers("commands/dpdk-devbind-status.txt", text),
            ["0000:03:00.3 vfio-pci", "0000:03:00.0 i40e", "0000:04:00.0 none"]
        );
        assert!(drivers("commands/driverctl.txt", "driverctl: failed\n").is_empty());
    }
}
