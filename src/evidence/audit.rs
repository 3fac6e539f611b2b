//! Structured lines: AppArmor and SELinux decisions, and what the kernel says about itself.
//!
//! AppArmor writes `apparmor="DENIED" operation="open" ...` (security/apparmor/audit.c), SELinux
//! `avc:  denied  { read } for  pid=...` (security/selinux/avc.c). Both reach the reader by
//! several ways: dmesg and kern.log (`audit: type=1400 audit(TIME:SERIAL): ...`), audit.log
//! (`type=AVC msg=audit(TIME:SERIAL): ...`), `ausearch -i` (values interpreted, quotes gone) and
//! the journal (`AVC ...`, without time and serial). The journal holds two copies of each. A
//! record is therefore known by what it says, not by its serial: process, object and right.
//!
//! Not parsed: companion records (`type=SYSCALL`, `PATH`, `PROCTITLE`), which repeat the same
//! event, and denials of user-space object managers other than `USER_AVC`.

use std::collections::BTreeMap;

use crate::model::{Record, RecordParser, Writer};
use crate::parse::kv;

/// AppArmor's decisions.
pub const APPARMOR: RecordParser = RecordParser {
    kind: "apparmor",
    doc: "An AppArmor decision; `verdict` is DENIED, ALLOWED (complain mode), AUDIT or STATUS \
          (apparmor.d(5), security/apparmor/audit.c)",
    fields: APPARMOR_FIELDS,
    literals: &["apparmor="],
    writers: &[Writer::Kernel, Writer::Audit],
    parse: apparmor,
};

/// SELinux's decisions.
pub const SELINUX: RecordParser = RecordParser {
    kind: "selinux",
    doc: "An SELinux access vector decision; `verdict` is denied or granted, `permissive` is 1 \
          where it was only logged and empty where the kernel does not say; `stype` and `ttype` \
          are the types of the two contexts (security/selinux/avc.c)",
    fields: &[
        "verdict",
        "permissive",
        "permissions",
        "pid",
        "comm",
        "path",
        "name",
        "dev",
        "scontext",
        "tcontext",
        "stype",
        "ttype",
        "tclass",
    ],
    literals: &["avc:"],
    writers: &[Writer::Kernel, Writer::Audit],
    parse: selinux,
};

/// What the kernel says once about itself and its machine.
pub const BOOT: RecordParser = RecordParser {
    kind: "boot",
    doc: "A line that the kernel prints once at boot; `what` is hypervisor, dmi, paravirt, \
          device_tree, memory_encryption, version, secureboot, lockdown, exception_level or \
          hyperv_build",
    fields: &["what", "value"],
    literals: &[
        "Hypervisor detected: ",
        "DMI: ",
        "Booting paravirtualized kernel on ",
        "Machine model: ",
        "Memory Encryption Features active: ",
        "tdx: Guest detected",
        "Linux version ",
        "Secure boot ",
        "Kernel is locked down from ",
        "CPU(s) started at ",
        "Hyper-V: Host Build ",
    ],
    writers: &[Writer::Kernel],
    parse: boot,
};

const APPARMOR_FIELDS: &[&str] = &[
    "verdict",
    "operation",
    "class",
    "profile",
    "name",
    "comm",
    "requested_mask",
    "denied_mask",
    "capname",
    "info",
    "error",
    "peer",
    "fsuid",
    "ouid",
    "pid",
];

/// Fields that the kernel prints as "untrusted strings": in hexadecimal where quotes do not do.
const UNTRUSTED: &[&str] = &["profile", "name", "comm", "path", "peer", "info", "dev"];

fn apparmor(message: &str) -> Option<Record> {
    let start = message.find("apparmor=")?;
    let mut fields = fields(message, start, APPARMOR_FIELDS);
    let verdict = fields.remove("apparmor").filter(|v| !v.is_empty())?;
    fields.insert("verdict".to_owned(), verdict);
    let key = key(&fields, &["verdict", "operation", "profile", "name", "pid", "denied_mask"]);
    Some(Record { fields, key: Some(key) })
}

fn selinux(message: &str) -> Option<Record> {
    let start = message.find("avc:")?;
    let (verdict, rest) =
        message[start + "avc:".len()..].trim_start().split_once(char::is_whitespace)?;
    if !matches!(verdict, "denied" | "granted") {
        return None;
    }
    let (permissions, _) = rest.trim_start().strip_prefix('{')?.split_once('}')?;
    let permissions = permissions.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut fields = fields(message, start, SELINUX.fields);
    fields.insert("verdict".to_owned(), verdict.to_owned());
    fields.insert("permissions".to_owned(), permissions);
    fields.entry("permissive".to_owned()).or_default();
    for (context, name) in [("scontext", "stype"), ("tcontext", "ttype")] {
        let kind = fields.get(context).and_then(|c| c.split(':').nth(2)).map(str::to_owned);
        fields.extend(kind.map(|k| (name.to_owned(), k)));
    }
    let said =
        ["verdict", "permissions", "pid", "comm", "path", "name", "scontext", "tcontext", "tclass"];
    let key = key(&fields, &said);
    Some(Record { fields, key: Some(key) })
}

/// The wanted fields of a record that starts at `start`; `apparmor` is always among them.
fn fields(message: &str, start: usize, wanted: &[&str]) -> BTreeMap<String, String> {
    let interpreted = interpreted(message);
    let mut fields = BTreeMap::new();
    for (key, value) in kv::pairs(&message[start..], interpreted) {
        if key != "apparmor" && !wanted.contains(&key) {
            continue;
        }
        let coded = !value.quoted && !interpreted && UNTRUSTED.contains(&key);
        let decoded = coded.then(|| kv::unhex(value.raw)).flatten();
        // The first of a name is the record's; enriched records repeat some in capitals.
        fields.entry(key.to_owned()).or_insert_with(|| {
            decoded.unwrap_or_else(|| value.raw.trim_end_matches('\'').to_owned())
        });
    }
    fields
}

/// Whether `ausearch -i` printed the record: its time is a date.
fn interpreted(message: &str) -> bool {
    let stamp = message.split_once("audit(").map(|(_, rest)| rest);
    stamp.and_then(|s| s.split(')').next()).is_some_and(|s| s.contains([' ', '/']))
}

/// Identity of a record over all places it is logged in.
fn key(fields: &BTreeMap<String, String>, names: &[&str]) -> String {
    let values: Vec<&str> =
        names.iter().map(|n| fields.get(*n).map_or("", String::as_str)).collect();
    values.join("\u{1f}")
}

/// Reads a line that the kernel prints once.
fn boot(message: &str) -> Option<Record> {
    let (what, value) = boot_line(message.trim())?;
    let fields = [("what", what), ("value", value)];
    Some(Record {
        fields: fields.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        key: Some(format!("{what}={value}")),
    })
}

fn boot_line(message: &str) -> Option<(&'static str, &str)> {
    const BEGINS: &[(&str, &str)] = &[
        ("Hypervisor detected: ", "hypervisor"),
        ("DMI: ", "dmi"),
        ("Booting paravirtualized kernel on ", "paravirt"),
        ("Machine model: ", "device_tree"),
        ("OF: fdt: Machine model: ", "device_tree"),
        ("Memory Encryption Features active: ", "memory_encryption"),
        // Kernels up to 5.17 or so.
        ("AMD Memory Encryption Features active: ", "memory_encryption"),
        ("CPU: All CPU(s) started at ", "exception_level"),
    ];
    let first_word = |text: &'_ str| -> usize { text.find(' ').unwrap_or(text.len()) };
    if let Some((begin, what)) = BEGINS.iter().find(|(begin, _)| message.starts_with(begin)) {
        let value = message[begin.len()..].trim();
        return (!value.is_empty()).then_some((*what, value));
    }
    if message.starts_with("tdx: Guest detected") {
        return Some(("memory_encryption", "Intel TDX"));
    }
    if let Some(rest) = message.strip_prefix("Linux version ") {
        return Some(("version", &rest[..first_word(rest)]));
    }
    if let Some(rest) = message.strip_prefix("Hyper-V: Host Build ") {
        return Some(("hyperv_build", &rest[..first_word(rest)]));
    }
    if let Some(rest) = message.split("Kernel is locked down from ").nth(1) {
        return Some(("lockdown", rest.split(';').next().unwrap_or(rest).trim()));
    }
    let secure = message.strip_prefix("secureboot: ").unwrap_or(message);
    match secure.strip_prefix("Secure boot ")? {
        rest if rest.starts_with("enabled") => Some(("secureboot", "enabled")),
        rest if rest.starts_with("disabled") => Some(("secureboot", "disabled")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_KERNEL: &str = "audit: type=1400 audit(1700000000.441:402): apparmor=\"DENIED\" \
        operation=\"open\" profile=\"libvirt-0b1c\" name=\"/srv/a b.img\" pid=11872 \
        comm=43505520302F4B564D requested_mask=\"r\" denied_mask=\"r\" fsuid=64055 ouid=0";
    const IN_JOURNAL: &str = "AVC apparmor=\"DENIED\" operation=\"open\" \
        profile=\"libvirt-0b1c\" name=2F7372762F6120622E696D67 pid=11872 comm=\"CPU 0/KVM\" \
        requested_mask=\"r\" denied_mask=\"r\" fsuid=64055 ouid=0";

    #[track_caller]
    fn field<'a>(record: &'a Record, name: &str) -> &'a str {
        record.fields.get(name).unwrap_or_else(|| panic!("no field {name}"))
    }

    #[test]
    fn apparmor_denial_counts_once_over_kernel_and_journal() {
        let kernel = apparmor(IN_KERNEL).unwrap();
        let journal = apparmor(IN_JOURNAL).unwrap();
        for record in [&kernel, &journal] {
            assert_eq!(field(record, "verdict"), "DENIED");
            assert_eq!(field(record, "name"), "/srv/a b.img");
            assert_eq!(field(record, "comm"), "CPU 0/KVM");
            assert_eq!(field(record, "fsuid"), "64055");
        }
        assert_eq!(kernel.key, journal.key);
    }

    #[test]
    fn apparmor_capability_and_interpreted_record() {
        let capable = apparmor(
            "type=AVC msg=audit(1.2:3): apparmor=\"ALLOWED\" operation=\"capable\" class=\"cap\" \
             profile=\"/usr/sbin/libvirtd\" pid=9 comm=\"libvirtd\" capability=12  capname=\"net_admin\"",
        )
        .unwrap();
        assert_eq!(field(&capable, "verdict"), "ALLOWED");
        assert_eq!(field(&capable, "capname"), "net_admin");
        let interpreted = apparmor(
            "type=AVC msg=audit(02/06/2025 12:31:15.483:1776) : apparmor=DENIED operation=exec \
             profile=libvirtd name=/opt/my qemu pid=9 comm=rpc-worker denied_mask=x ",
        )
        .unwrap();
        assert_eq!(field(&interpreted, "verdict"), "DENIED");
        assert_eq!(field(&interpreted, "name"), "/opt/my qemu");
    }

    #[test]
    fn selinux_denial_raw_and_interpreted() {
        let raw = selinux(
            "type=AVC msg=audit(1657625141.205:553): avc:  denied  { read write } for  pid=2027 \
             comm=\"qemu-kvm\" name=\"disk.0\" dev=\"vda1\" ino=134 \
             scontext=system_u:system_r:svirt_t:s0:c381,c382 \
             tcontext=unconfined_u:object_r:unlabeled_t:s0 tclass=lnk_file permissive=0",
        )
        .unwrap();
        assert_eq!(field(&raw, "verdict"), "denied");
        assert_eq!(field(&raw, "permissions"), "read write");
        assert_eq!(field(&raw, "stype"), "svirt_t");
        assert_eq!(field(&raw, "ttype"), "unlabeled_t");
        assert_eq!(field(&raw, "permissive"), "0");
        let interpreted = selinux(
            "type=AVC msg=audit(07/12/2022 11:25:41.205:553) : avc:  denied  { read write } for  \
             pid=2027 comm=qemu-kvm name=disk.0 dev=\"vda1\" ino=134 \
             scontext=system_u:system_r:svirt_t:s0:c381,c382 \
             tcontext=unconfined_u:object_r:unlabeled_t:s0 tclass=lnk_file permissive=0 ",
        )
        .unwrap();
        assert_eq!(raw, interpreted);
    }

    #[test]
    fn selinux_of_an_old_kernel_does_not_say_whether_it_was_permissive() {
        let message = "avc:  denied  { getattr } for  pid=6 comm=\"a\" path=\"/dev/kvm\" \
                       scontext=x:y:a_t tcontext=x:y:kvm_device_t tclass=chr_file";
        let record = selinux(message).unwrap();
        assert_eq!(field(&record, "permissive"), "");
        assert_eq!(field(&record, "ttype"), "kvm_device_t");
    }

    #[test]
    fn lines_that_only_mention_them_are_no_records() {
        for line in ["avc:", "avc: 3 AVC entries", "avc:  denied  for", "avc:  denied  { read", ""]
        {
            assert_eq!(selinux(line), None, "{line}");
        }
        assert_eq!(apparmor("set apparmor= on the command line"), None);
        assert_eq!(apparmor("apparmor: é"), None);
    }

    #[test]
    fn boot_lines() {
        for (line, what, value) in [
            ("Hypervisor detected: KVM", "hypervisor", "KVM"),
            ("DMI: QEMU Standard PC, BIOS 1.16", "dmi", "QEMU Standard PC, BIOS 1.16"),
            ("Booting paravirtualized kernel on KVM", "paravirt", "KVM"),
            ("Machine model: Raspberry Pi 4", "device_tree", "Raspberry Pi 4"),
            ("Memory Encryption Features active: AMD SEV", "memory_encryption", "AMD SEV"),
            ("tdx: Guest detected", "memory_encryption", "Intel TDX"),
            ("Linux version 6.8.0-31-generic (buildd@x)", "version", "6.8.0-31-generic"),
            ("secureboot: Secure boot enabled", "secureboot", "enabled"),
            ("Secure boot disabled", "secureboot", "disabled"),
            (
                "Kernel is locked down from EFI Secure Boot mode; see man kernel_lockdown.7",
                "lockdown",
                "EFI Secure Boot mode",
            ),
            ("CPU: All CPU(s) started at EL2", "exception_level", "EL2"),
            ("Hyper-V: Host Build 10.0.26100.1-1-0", "hyperv_build", "10.0.26100.1-1-0"),
        ] {
            let record = boot(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((field(&record, "what"), field(&record, "value")), (what, value));
        }
        for line in ["echo Linux version", "Secure boot could not be determined", "DMI: "] {
            assert_eq!(boot(line), None, "{line}");
        }
    }
}
