//! nova.conf and its relatives (`nova-compute.conf`, snaps, kolla): the section `[libvirt]` of
//! <https://docs.openstack.org/nova/latest/configuration/config.html>.

use super::Reader;
use crate::model::Value;
use crate::parse::kv;

pub(super) fn parse(text: &str, reader: &mut Reader<'_, '_>) {
    for setting in kv::ini(text).filter(|s| s.section == "libvirt" && !s.value.is_empty()) {
        let fact = match setting.key {
            "virt_type" => "nova.virt_type",
            "cpu_mode" => "nova.cpu_mode",
            "cpu_models" | "cpu_model" => "nova.cpu_models",
            _ => continue,
        };
        reader.add(fact, Value::text(setting.value), setting.line, setting.text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts_of;

    #[test]
    fn only_the_section_libvirt_counts() {
        let text = "[DEFAULT]\ncpu_mode = x\n[libvirt]\n#virt_type = kvm\nvirt_type=qemu\n\
                    cpu_mode = custom\ncpu_models = IvyBridge,Haswell\ncpu_model_extra_flags = vmx\n";
        let expected =
            ["nova.virt_type=qemu", "nova.cpu_mode=custom", "nova.cpu_models=IvyBridge,Haswell"];
        assert_eq!(facts_of("etc/nova/nova.conf", text), expected);
        assert_eq!(facts_of("var/snap/x/etc/nova/nova-snap.conf", text), expected);
    }
}
