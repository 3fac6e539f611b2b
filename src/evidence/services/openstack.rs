//! nova.conf and its relatives (`nova-compute.conf`, snaps, kolla): how guests are run, from the
//! section `[libvirt]`, and how many fit on a host, from `[DEFAULT]` and `[compute]`, of
//! <https://docs.openstack.org/nova/latest/configuration/config.html>.
//!
//! Ratios are decimal fractions and become percent: 16.0 is 1600. 0.0 leaves the choice to the
//! program and makes no fact. Jinja templates, which deployment tools (charms, kolla) keep beside the
//! file they make of them, say nothing about this host and are left alone.

use super::Reader;
use crate::model::Value;
use crate::parse::kv::{self, Setting};

pub(super) fn parse(text: &str, reader: &mut Reader<'_, '_>) {
    if is_template(text) {
        return;
    }
    for setting in kv::ini(text).filter(|s| !s.value.is_empty()) {
        let fact = match (setting.section, setting.key) {
            ("libvirt", "virt_type") => "nova.virt_type",
            ("libvirt", "cpu_mode") => "nova.cpu_mode",
            ("libvirt", "cpu_models" | "cpu_model") => "nova.cpu_models",
            ("libvirt", "hw_machine_type") => "nova.hw_machine_type",
            ("compute", "cpu_dedicated_set") => "nova.cpu_dedicated_set",
            ("libvirt", "cpu_model_extra_flags") => {
                let flags = setting.value.split(',').map(str::trim).filter(|f| !f.is_empty());
                let flags = Value::words(flags);
                reader.add("nova.cpu_extra_flags", flags, setting.line, setting.text);
                continue;
            }
            ("DEFAULT" | "", key) => {
                capacity(key, setting, reader);
                continue;
            }
            _ => continue,
        };
        reader.add(fact, Value::text(setting.value), setting.line, setting.text);
    }
}

/// Whether a line outside comments has Jinja's `{{` or `{%`, neither of which nova.conf knows.
fn is_template(text: &str) -> bool {
    let said = text.lines().filter(|line| !line.trim_start().starts_with(['#', ';']));
    said.into_iter().any(|line| line.contains("{{") || line.contains("{%"))
}

/// Settings of the scheduler: ratios and what the host keeps for itself.
fn capacity(key: &str, setting: Setting<'_>, reader: &mut Reader<'_, '_>) {
    let (fact, number) = match key {
        "cpu_allocation_ratio" => ("nova.cpu_ratio_percent", percent(setting.value)),
        "ram_allocation_ratio" => ("nova.ram_ratio_percent", percent(setting.value)),
        "reserved_host_memory_mb" => ("nova.reserved_host_memory_mib", setting.value.parse().ok()),
        _ => return,
    };
    match number {
        Some(0) if fact.ends_with("_percent") => {}
        Some(number) => reader.add(fact, Value::Int(number), setting.line, setting.text),
        None => reader.problem(setting.line, format!("{key} is no number")),
    }
}

/// `1.5` to 150, without floating point.
fn percent(value: &str) -> Option<i64> {
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    if part.bytes().any(|b| !b.is_ascii_digit()) {
        return None;
    }
    let digits: String = part.chars().chain("00".chars()).take(2).collect();
    let whole: i64 = whole.parse().ok().filter(|n| *n >= 0)?;
    whole.checked_mul(100)?.checked_add(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::super::facts_of;

    #[test]
    fn only_the_section_libvirt_counts() {
        let text = "[DEFAULT]\ncpu_mode = x\n[libvirt]\n#virt_type = kvm\nvirt_type=qemu\n\
                    cpu_mode = custom\ncpu_models = IvyBridge,Haswell\ncpu_model_extra_flags = vmx\n";
        let expected = [
            "nova.virt_type=qemu",
            "nova.cpu_mode=custom",
            "nova.cpu_models=IvyBridge,Haswell",
            "nova.cpu_extra_flags=vmx",
        ];
        assert_eq!(facts_of("etc/nova/nova.conf", text), expected);
        assert_eq!(facts_of("var/snap/x/etc/nova/nova-snap.conf", text), expected);
    }

    #[test]
    fn capacity_of_a_host() {
        let text = "[DEFAULT]\ncpu_allocation_ratio = 4.0\nram_allocation_ratio=1.05\n\
            reserved_host_memory_mb = 8192\ndisk_allocation_ratio = 1\n\
            [libvirt]\nhw_machine_type = x86_64=q35\n[compute]\ncpu_dedicated_set = 2-17\n";
        let expected = [
            "nova.cpu_ratio_percent=400",
            "nova.ram_ratio_percent=105",
            "nova.reserved_host_memory_mib=8192",
            "nova.hw_machine_type=x86_64=q35",
            "nova.cpu_dedicated_set=2-17",
        ];
        assert_eq!(facts_of("etc/nova/nova.conf", text), expected);
        let text = "[DEFAULT]\ncpu_allocation_ratio = 0.0\nram_allocation_ratio = much\n";
        let broken = ["etc/nova/nova.conf:3: ram_allocation_ratio is no number"];
        assert_eq!(facts_of("etc/nova/nova.conf", text), broken);
    }

    #[test]
    fn a_template_says_nothing_about_the_host() {
        let text = "[DEFAULT]\n{% if x -%}\nreserved_host_memory_mb = {{ reserved }}\n\
                    {% endif %}\n[libvirt]\nvirt_type = qemu\n";
        assert!(facts_of("charm/templates/nova.conf", text).is_empty());
        let commented = "# {{ ansible_managed }}\n[libvirt]\nvirt_type = kvm\n";
        assert_eq!(facts_of("etc/nova/nova.conf", commented), ["nova.virt_type=kvm"]);
    }
}
