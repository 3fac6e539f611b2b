//! Tests of the analyzer: groups with known answers.

use super::*;
use crate::model::{Event, Layer, Stamp, Writer};

/// A device: address, class, driver, group.
type Row = (&'static str, &'static str, &'static str, i64);

fn put(host: &mut Host, name: &'static str, instance: &str, value: Value, source: &str) {
    let instance = (!instance.is_empty()).then(|| instance.to_owned());
    host.facts.add(Fact { name, instance, value, origin: Origin::new(source, None, "") });
}

fn host(rows: &[Row]) -> Host {
    let mut host = Host::new("", Layer::Unknown, "x");
    for (address, class, driver, group) in rows {
        put(&mut host, "pci.class", address, Value::text(*class), "commands/lspci.txt");
        if !driver.is_empty() {
            put(&mut host, "pci.driver", address, Value::text(*driver), "commands/lspci.txt");
        }
        put(&mut host, "pci.iommu_group", address, Value::Int(*group), "commands/iommu.txt");
    }
    host
}

fn event(host: &mut Host, kind: &str, stamp: Option<Stamp>, fields: &[(&str, &str)]) {
    let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let kind = kind.to_owned();
    let origin = Origin::default();
    host.events.add(Event { kind, origin, stamp, writer: Writer::Kernel, fields, key: None });
}

/// `name[instance]=value` of all derived facts.
fn derive(host: &Host) -> Vec<String> {
    let show = |f: Fact| format!("{}[{}]={}", f.name, f.instance.unwrap_or_default(), f.value);
    run(host).into_iter().map(show).collect()
}

#[track_caller]
fn has(facts: &[String], expected: &[&str]) {
    for line in expected {
        assert!(facts.iter().any(|f| f == line), "{line} is not in {facts:#?}");
    }
}

fn says(facts: &[String], name: &str) -> bool {
    facts.iter().any(|f| f.starts_with(name))
}

const CARD: &[Row] = &[
    ("0000:00:01.0", "0604", "pcieport", 1),
    ("0000:01:00.0", "0300", "nouveau", 1),
    ("0000:01:00.1", "0403", "snd_hda_intel", 1),
];

#[test]
fn a_graphics_card_is_in_its_own_way() {
    let mut host = host(CARD);
    event(&mut host, "vfio-group-not-viable", None, &[("device", "01:00.0"), ("group", "1")]);
    has(
        &derive(&host),
        &[
            "vfio.target[0000:01:00.0]=tried",
            "vfio.target_on_host_driver[0000:01:00.0]=true",
            "vfio.group_viable[1]=false",
            "vfio.group_own_blockers[1]=0000:01:00.0(nouveau) 0000:01:00.1(snd_hda_intel)",
            "vfio.group_foreign_blockers[1]=",
            "vfio.group_lacks_acs[1]=false",
            "iommu.active[]=true",
        ],
    );
}

#[test]
fn a_function_that_is_left_behind_is_in_the_way() {
    let mut host = host(&[("0000:01:00.0", "0300", "vfio-pci", 1), CARD[2]]);
    event(&mut host, "vfio-group-not-viable", None, &[("device", "0000:01:00.0")]);
    has(
        &derive(&host),
        &[
            "vfio.group_own_blockers[1]=",
            "vfio.group_foreign_blockers[1]=0000:01:00.1(snd_hda_intel)",
            "vfio.group_lacks_acs[1]=false",
        ],
    );
}

#[test]
fn ports_of_one_network_card_are_not_each_others_companions() {
    let mut host =
        host(&[("0000:03:00.0", "0200", "i40e", 9), ("0000:03:00.1", "0200", "vfio-pci", 9)]);
    event(&mut host, "vfio-group-not-viable", None, &[("group", "9")]);
    has(
        &derive(&host),
        &[
            "vfio.target[0000:03:00.1]=tried",
            "vfio.group_foreign_blockers[9]=0000:03:00.0(i40e)",
            "vfio.group_shared_by[9]=functions",
            "vfio.group_lacks_acs[9]=true",
        ],
    );
}

#[test]
fn groups_that_nobody_assigns_from_are_only_described() {
    let facts = derive(&host(&[
        ("0000:00:02.0", "0300", "i915", 2),
        ("0000:00:1f.0", "0601", "none", 3),
        ("0000:00:1f.4", "0c05", "", 4),
    ]));
    has(&facts, &["iommu.group_viable[2]=false", "iommu.group_viable[3]=true"]);
    assert!(!says(&facts, "vfio."), "{facts:#?}");
    assert!(!says(&facts, "iommu.group_viable[4]"), "an unknown driver decides nothing");
}

#[test]
fn why_devices_share_a_group() {
    let shared = |rows: &[Row], extra: &[(&'static str, &str, &str)]| {
        let mut host = host(rows);
        for (name, address, value) in extra {
            put(&mut host, name, address, Value::text(*value), "commands/lspci.txt");
        }
        let facts = derive(&host);
        let fact = facts.iter().find_map(|f| f.strip_prefix("iommu.group_shared_by[1]="));
        fact.unwrap_or_default().to_owned()
    };
    let bridge: &[Row] = &[
        ("0000:03:00.0", "0604", "none", 1),
        ("0000:04:01.0", "0200", "e1000", 1),
        ("0000:04:02.0", "0200", "e1000", 1),
    ];
    assert_eq!(shared(bridge, &[("pci.express", "0000:03:00.0", "pci-bridge")]), "pci-bridge");
    let switch = [("pci.express", "0000:03:00.0", "downstream-port")];
    assert_eq!(shared(bridge, &switch), "switch");
    assert_eq!(shared(CARD, &[]), "root-port");
    assert_eq!(shared(&CARD[1..], &[]), "functions");
    assert_eq!(shared(&CARD[..1], &[]), "one-device");
    let chipset: &[Row] =
        &[("0000:00:14.0", "0c03", "xhci_hcd", 1), ("0000:00:16.0", "0780", "mei_me", 1)];
    assert_eq!(shared(chipset, &[]), "integrated");
}

#[test]
fn a_slot_without_function_means_all_of_it() {
    let mut host = host(CARD);
    put(&mut host, "hostdev.devices", "110", Value::words(["0000:01:00"]), "etc/pve/110.conf");
    has(
        &derive(&host),
        &["vfio.target[0000:01:00.0]=assigned", "vfio.target[0000:01:00.1]=assigned"],
    );
}

#[test]
fn sysfs_knows_what_has_no_driver() {
    let mut host = Host::new("", Layer::Unknown, "x");
    let devices = "sys/devices/pci0000:00";
    for address in ["0000:00:02.0", "0000:00:03.0"] {
        let class = format!("{devices}/{address}/class");
        put(&mut host, "pci.class", address, Value::text("0200"), &class);
        put(&mut host, "pci.iommu_group", address, Value::Int(5), &class);
    }
    assert!(!says(&derive(&host), "iommu.group_viable"), "no link of a driver was collected");
    let link = format!("{devices}/0000:00:02.0/driver");
    put(&mut host, "pci.driver", "0000:00:02.0", Value::text("vfio-pci"), &link);
    has(
        &derive(&host),
        &[
            "iommu.group_devices[5]=0000:00:02.0(vfio-pci) 0000:00:03.0(none)",
            "iommu.group_viable[5]=true",
        ],
    );
}

#[test]
fn groups_of_the_kernels_log_unless_it_has_holes() {
    let mut host = Host::new("", Layer::Unknown, "x");
    let joins = |host: &mut Host, n: usize| {
        let device = format!("0000:{:02x}:{:02x}.0", n / 32, n % 32);
        let group = n.to_string();
        let fields = [("what", "group"), ("device", device.as_str()), ("group", group.as_str())];
        event(host, "iommu-boot", None, &fields);
    };
    joins(&mut host, 33);
    has(&derive(&host), &["iommu.group_devices[33]=0000:01:01.0(?)", "iommu.active[]=true"]);
    for n in 0..=crate::model::event::KEPT {
        joins(&mut host, n);
    }
    assert!(!says(&derive(&host), "iommu.group_devices"));
}

#[test]
fn state_from_the_boot_log_and_the_command_line() {
    let boot = |what: &[(&str, &str)], cmdline: &str| {
        let mut host = Host::new("", Layer::Unknown, "x");
        event(&mut host, "boot", None, &[("what", "version"), ("value", "6.8")]);
        for (what, value) in what {
            event(&mut host, "iommu-boot", None, &[("what", what), ("value", value)]);
        }
        let words = Value::words(cmdline.split(' '));
        put(&mut host, "kernel.cmdline", "", words, "proc/cmdline");
        derive(&host)
    };
    has(&boot(&[], "quiet"), &["iommu.active[]=false", "iommu.asked[]=default"]);
    let facts =
        boot(&[("active", ""), ("remapping", ""), ("width", "46")], "intel_iommu=on iommu=pt");
    has(
        &facts,
        &[
            "iommu.active[]=true",
            "iommu.interrupt_remapping[]=true",
            "iommu.host_width[]=46",
            "iommu.asked[]=on",
            "iommu.passthrough[]=true",
        ],
    );
    has(&boot(&[("active", "")], "intremap=off"), &["iommu.interrupt_remapping[]=false"]);
    // Intel remaps interrupts also while the IOMMU translates nothing.
    has(
        &boot(&[("remapping", "")], "intel_iommu=off"),
        &["iommu.active[]=false", "iommu.asked[]=off"],
    );
    has(&boot(&[("remapping", "amd")], "quiet"), &["iommu.active[]=true"]);
}

#[test]
fn whose_faults_they_are() {
    let mut host =
        host(&[("0000:01:00.0", "0300", "vfio-pci", 1), ("0000:02:00.0", "0200", "r8169", 2)]);
    let late = Some(Stamp::Boot(36_000_000_000));
    event(&mut host, "iommu-fault", late, &[("class", "timeout"), ("device", "0000:01:00.0")]);
    for _ in 0..4 {
        event(
            &mut host,
            "iommu-fault",
            late,
            &[("class", "permission"), ("device", "0000:02:00.0")],
        );
    }
    has(
        &derive(&host),
        &[
            "iommu.timeout_owner[0000:01:00.0]=guest",
            "iommu.timeout_at_boot[]=false",
            "iommu.fault_owner[0000:02:00.0]=host",
            "iommu.host_faults[0000:02:00.0]=4",
        ],
    );
}

#[test]
fn definitions_that_contradict_themselves() {
    let mut host = host(&[]);
    put(&mut host, "hostdev.devices", "l1", Value::words(["0000:82:00.1"]), "a.xml");
    put(&mut host, "viommu.model", "l1", Value::text("intel"), "a.xml");
    put(&mut host, "viommu.caching_mode", "l1", Value::Bool(false), "a.xml");
    put(&mut host, "viommu.aw_bits", "l1", Value::Int(48), "a.xml");
    put(&mut host, "domain.hard_limit_kib", "l1", Value::Int(16 << 20), "a.xml");
    put(&mut host, "domain.memory_kib", "l1", Value::Int(16 << 20), "a.xml");
    has(
        &derive(&host),
        &[
            "viommu.caching_mode_missing[l1]=true",
            "viommu.asks_48_bits[l1]=true",
            "domain.hard_limit_below_ram[l1]=true",
        ],
    );
}
