//! Proxmox VE: guest configurations (qm.conf(5)) and custom CPU models (cpu-models.conf(5)).

use super::Reader;
use crate::model::Value;
use crate::parse::{kv, lines};

/// /etc/pve/qemu-server/ID.conf, or `qm config`, which prints the same.
pub(super) fn guest(text: &str, reader: &mut Reader<'_, '_>) {
    let piece = reader.piece;
    let file = piece.file_name();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let id = stem.strip_prefix("qm-config-").unwrap_or(stem);
    let mut has_cpu = false;
    let mut first = None;
    for (line, text) in lines(text) {
        // What follows belongs to snapshots and to changes that are not applied yet.
        if text.starts_with('[') {
            break;
        }
        let Some((key, value)) = text.split_once(':').map(|(k, v)| (k.trim(), v.trim())) else {
            continue;
        };
        if text.starts_with('#') || value.is_empty() {
            continue;
        }
        first.get_or_insert((line, text));
        match key {
            "cpu" => {
                has_cpu = true;
                cpu(id, value, line, text, reader);
            }
            "kvm" => match kv::boolean(value) {
                Some(on) => reader.add_of("pve.kvm", id, Value::Bool(on), line, text),
                None => reader.problem(line, "kvm is neither 0 nor 1"),
            },
            "args" => reader.add_of("pve.args", id, Value::text(value), line, text),
            "affinity" => reader.add_of("pve.affinity", id, Value::text(value), line, text),
            "machine" => reader.add_of("pve.machine", id, Value::text(value), line, text),
            "vga" => reader.add_of("pve.vga", id, Value::text(value), line, text),
            "tablet" => match kv::boolean(value) {
                Some(on) => reader.add_of("pve.tablet", id, Value::Bool(on), line, text),
                None => reader.problem(line, "tablet is neither 0 nor 1"),
            },
            "name" => reader.add_of("pve.name", id, Value::text(value), line, text),
            _ => {}
        }
    }
    // Only here an absence is a fact: the configuration is complete without the line, and then
    // Proxmox VE takes kvm64, or x86-64-v2-AES in newer wizards, neither of which can nest.
    if let Some((line, text)) = first.filter(|_| !has_cpu && reader.piece.whole) {
        reader.add_of("pve.cpu", id, Value::text("default"), line, text);
    }
}

/// `host,flags=+pcid;-spec-ctrl` or `cputype=host`.
fn cpu(id: &str, value: &str, line: u32, text: &str, reader: &mut Reader<'_, '_>) {
    for part in value.split(',') {
        match part.split_once('=') {
            None => reader.add_of("pve.cpu", id, Value::text(part.trim()), line, text),
            Some(("cputype", kind)) => {
                reader.add_of("pve.cpu", id, Value::text(kind.trim()), line, text);
            }
            Some(("flags", flags)) => {
                let flags = Value::words(flags.split(';').filter(|f| !f.is_empty()));
                reader.add_of("pve.cpu_flags", id, flags, line, text);
            }
            Some(_) => {}
        }
    }
}

/// Custom CPU models: `cpu-model: NAME`, then indented settings. A guest names one as
/// `custom-NAME`.
pub(super) fn models(text: &str, reader: &mut Reader<'_, '_>) {
    let mut model = String::new();
    for (line, text) in lines(text) {
        if let Some(name) = text.strip_prefix("cpu-model:") {
            model = format!("custom-{}", name.trim());
            continue;
        }
        match text.trim().split_once(char::is_whitespace) {
            Some(("flags", flags)) if !model.is_empty() => {
                let flags = Value::words(flags.trim().split(';').filter(|f| !f.is_empty()));
                reader.add_of("pve.model_flags", &model, flags, line, text);
            }
            Some(("reported-model", reported)) if !model.is_empty() => {
                let reported = Value::text(reported.trim());
                reader.add_of("pve.model_reported", &model, reported, line, text);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts_of;

    #[test]
    fn a_guest_and_not_its_snapshots() {
        let text = "#notes: x\nagent: 1\ncpu: host,flags=+pcid;-aes\nkvm: 0\nname: l1\n\
                    [before]\ncpu: kvm64\n";
        let expected = [
            "pve.cpu[101]=host",
            "pve.cpu_flags[101]=+pcid -aes",
            "pve.kvm[101]=false",
            "pve.name[101]=l1",
        ];
        assert_eq!(facts_of("etc/pve/qemu-server/101.conf", text), expected);
        assert_eq!(facts_of("commands/qm-config-101.txt", text), expected);
    }

    #[test]
    fn arguments_pins_and_screens() {
        let text = "args: -cpu host,+vmx\naffinity: 0-7\nmachine: q35\ncpu: host\ntablet: 0\nvga: serial0\n";
        let expected = [
            "pve.args[5]=-cpu host,+vmx",
            "pve.affinity[5]=0-7",
            "pve.machine[5]=q35",
            "pve.cpu[5]=host",
            "pve.tablet[5]=false",
            "pve.vga[5]=serial0",
        ];
        assert_eq!(facts_of("etc/pve/qemu-server/5.conf", text), expected);
    }

    #[test]
    fn a_guest_without_a_cpu_has_the_default_one() {
        let path = "etc/pve/nodes/n1/qemu-server/7.conf";
        assert_eq!(
            facts_of(path, "memory: 512\nkvm: x\n"),
            ["pve.cpu[7]=default", "etc/pve/nodes/n1/qemu-server/7.conf:2: kvm is neither 0 nor 1",]
        );
        assert_eq!(facts_of(path, ""), Vec::<String>::new());
    }

    #[test]
    fn custom_models() {
        let text = "cpu-model: nest\n    flags +vmx;+pcid\n    reported-model Skylake-Server\n\n\
                    cpu-model: plain\n    phys-bits host\n";
        let expected = [
            "pve.model_flags[custom-nest]=+pcid +vmx",
            "pve.model_reported[custom-nest]=Skylake-Server",
        ];
        assert_eq!(facts_of("etc/pve/virtual-guest/cpu-models.conf", text), expected);
    }
}
