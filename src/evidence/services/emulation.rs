//! Settings that ask for software emulation.
//!
//! Found by their lines, whatever the file: KubeVirt's `useEmulation`, a list of preferred
//! domain types, vagrant-libvirt's driver, kolla's and DevStack's virtualization type,
//! libguestfs' back end, and the switch of the container images that run QEMU. Comments are
//! passed over.

use std::sync::LazyLock;

use regex::Regex;

use super::Reader;
use crate::model::Value;
use crate::parse::lines;

/// Each setting, as the program that reads it spells it.
static ASKS: LazyLock<Regex> = LazyLock::new(|| {
    let settings = [
        // KubeVirt: spec.configuration.developerConfiguration.
        r#""?useEmulation"?\s*:\s*"?true"#,
        // libvirt-provider; the first type is the preferred one.
        r"--preferred-domain-types[= ]qemu",
        // vagrant-libvirt.
        r#"\.driver\s*=\s*["']qemu["']"#,
        // kolla-ansible, DevStack.
        r#"nova_compute_virt_type\s*:\s*["']?qemu"#,
        r"^\s*LIBVIRT_TYPE\s*=\s*qemu",
        r"LIBGUESTFS_BACKEND_SETTINGS\s*[=:]\s*\S*force_tcg",
        // Container images that run QEMU.
        r#"^[\s-]*["']?KVM["']?\s*[=:]\s*["']?[Nn](o|O)?["']?\s*$"#,
    ];
    Regex::new(&settings.map(|s| format!("(?:{s})")).join("|")).expect("a constant pattern")
});

pub(super) fn parse(text: &str, reader: &mut Reader<'_, '_>) {
    for (line, text) in lines(text) {
        let setting = text.trim();
        if !setting.starts_with(['#', ';']) && ASKS.is_match(text) {
            let setting = setting.trim_start_matches("- ").trim_end_matches(',');
            let file = reader.piece.path;
            reader.add_of("emulation.asked", file, Value::text(setting), line, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts_of;

    #[test]
    fn every_way_of_asking() {
        for (path, text, setting) in [
            (
                "kubevirt.yaml",
                "    developerConfiguration:\n      useEmulation: true\n",
                "useEmulation: true",
            ),
            ("ds.yaml", "  - --preferred-domain-types=qemu\n", "--preferred-domain-types=qemu"),
            ("Vagrantfile", "  libvirt.driver = \"qemu\"\n", "libvirt.driver = \"qemu\""),
            ("docker-compose.yml", "  KVM: \"N\"\n", "KVM: \"N\""),
            ("commands/env.txt", "KVM=N\n", "KVM=N"),
        ] {
            assert_eq!(facts_of(path, text), [format!("emulation.asked[{path}]={setting}")]);
        }
    }

    #[test]
    fn other_words_do_not_ask() {
        let text = "# useEmulation: true\nuseEmulation: false\n--preferred-domain-types=kvm,qemu\n\
                    config.vm.provider = \"qemu\"\nKVM: \"Y\"\nKVM=no-such-thing\n";
        assert_eq!(facts_of("a.yaml", text), Vec::<String>::new());
    }
}
