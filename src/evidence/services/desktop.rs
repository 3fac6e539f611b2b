//! Descriptions of single VMs by programs that are neither clouds nor libvirt: UTM's property
//! list, the document with which Windows' Host Compute Service makes a VM, Incus and LXD
//! instances.

use std::sync::LazyLock;

use regex::Regex;

use super::Reader;
use crate::model::{Value, Version};
use crate::parse::{kv, lines, xml};

/// UTM: the key `Backend` of config.plist. Binary property lists are not read.
pub(super) fn utm(text: &str, reader: &mut Reader<'_, '_>) {
    if !text.trim_start().starts_with('<') {
        return;
    }
    let document = match xml::parse(text) {
        Ok(document) => document,
        Err(error) => return reader.problem(1, format!("the property list is broken: {error}")),
    };
    let key = document.descendants().find(|n| n.has_tag_name("key") && n.text() == Some("Backend"));
    let value = key.and_then(|k| k.next_sibling_element());
    if let Some(backend) = value.and_then(xml::text) {
        let places = xml::Lines::new(text);
        let (line, text) = value.map_or((1, ""), |v| places.of(v));
        reader.add("utm.backend", Value::text(backend), line, text);
    }
}

/// `sw_vers`.
pub(super) fn macos(text: &str, reader: &mut Reader<'_, '_>) {
    for (line, text) in lines(text) {
        let version = text.strip_prefix("ProductVersion:").and_then(Version::parse);
        if let Some(version) = version {
            reader.add("macos.version", Value::Version(version), line, text);
        }
    }
}

static HCS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#""(ExposeVirtualizationExtensions|EnablePerfmonPmu)"\s*:\s*(true|false)"#)
        .expect("a constant pattern")
});

/// The Host Compute Service's document: two members of
/// `VirtualMachine.ComputeTopology.Processor` (schema 2.x), found by name, so that a cut
/// document gives what it has.
pub(super) fn hcs(text: &str, reader: &mut Reader<'_, '_>) {
    for (line, text) in lines(text) {
        for found in HCS.captures_iter(text) {
            let fact = match &found[1] {
                "EnablePerfmonPmu" => "hcs.pmu_requested",
                _ => "hcs.nested_requested",
            };
            reader.add(fact, Value::Bool(&found[2] == "true"), line, text);
        }
    }
}

/// `incus config show`: one instance in YAML, named by the file.
pub(super) fn incus(text: &str, reader: &mut Reader<'_, '_>) {
    let file = reader.piece.file_name().trim_end_matches(".txt");
    let name = file.split("-config-show").nth(1).unwrap_or("").trim_start_matches('-').to_owned();
    for (line, text) in lines(text) {
        if let Some(value) = text.trim().strip_prefix("limits.memory.hugepages:") {
            match kv::boolean(kv::unquote(value.trim())) {
                Some(on) => reader.add_of("incus.hugepages", &name, Value::Bool(on), line, text),
                None => reader.problem(line, "limits.memory.hugepages is neither true nor false"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts_of;

    #[test]
    fn utm_and_macos() {
        let text = "<?xml version=\"1.0\"?>\n<!DOCTYPE plist PUBLIC \"x\" \"http://x\">\n\
            <plist><dict>\n<key>Backend</key>\n<string>Apple</string>\n</dict></plist>\n";
        assert_eq!(facts_of("config.plist", text), ["utm.backend=Apple"]);
        assert_eq!(facts_of("config.plist", "bplist00\u{1}"), Vec::<String>::new());
        assert_eq!(facts_of("config.plist", "<plist>").len(), 1);
        let text = "ProductName: macOS\nProductVersion:\t\t15.1\n";
        assert_eq!(facts_of("commands/sw_vers.txt", text), ["macos.version=15.1"]);
    }

    #[test]
    fn host_compute_service() {
        let text = "{\"Processor\": { \"Count\": 4, \"ExposeVirtualizationExtensions\": true,\n\
                    \"EnablePerfmonPmu\": false";
        let expected = ["hcs.nested_requested=true", "hcs.pmu_requested=false"];
        assert_eq!(facts_of("hcs-create-document.json", text), expected);
    }

    #[test]
    fn incus_instance() {
        let text = "config:\n  limits.memory.hugepages: \"true\"\n";
        assert_eq!(
            facts_of("commands/incus-config-show-web.txt", text),
            ["incus.hugepages[web]=true"]
        );
    }
}
