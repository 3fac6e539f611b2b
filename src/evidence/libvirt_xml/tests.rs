//! Tests of the whole: XML in, facts out.

use super::*;

fn run(path: &str, text: &str, whole: bool) -> Out {
    let mut out = Out::default();
    parse(Piece { path, bytes: text.as_bytes(), whole }, &mut out);
    out
}

fn value(out: &Out, name: &str) -> Option<Value> {
    out.facts.iter().find(|f| f.name == name).map(|f| f.value.clone())
}

fn shows(cpu: &str) -> (Option<Value>, Option<Value>) {
    let text = format!(
        "<domain type='kvm'><name>a</name><os><type arch='x86_64'>hvm</type></os>{cpu}</domain>"
    );
    let out = run("etc/libvirt/qemu/a.xml", &text, true);
    (value(&out, "domain.asks_virt"), value(&out, "domain.hides_virt"))
}

const DOMAIN: &str = "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n\n\
    <domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n\
    <name>l1</name>\n\
    <uuid>6a0e2a0e-0000-4000-8000-000000000001</uuid>\n\
    <memory unit='GiB'>16</memory>\n\
    <memoryBacking><hugepages/></memoryBacking>\n\
    <vcpu placement='static' current='2'>8</vcpu>\n\
    <os><type arch='x86_64' machine='pc-q35-8.2'>hvm</type></os>\n\
    <cpu mode='custom' match='exact'>\n\
    <model fallback='allow'>Skylake-Client</model>\n\
    <feature policy='require' name='vmx'/>\n\
    <feature policy='disable' name='mpx'/>\n\
    </cpu>\n\
    <devices>\n\
    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n\
    <disk type='file' device='disk'><source file='/srv/l1.qcow2'/></disk>\n\
    <disk type='block' device='disk'><source dev='/dev/vg/l1'/></disk>\n\
    <disk type='file' device='cdrom'/>\n\
    <hostdev mode='subsystem' type='pci'/>\n\
    </devices>\n\
    </domain>\n";

#[test]
fn a_domain_with_its_lines() {
    let out = run("etc/libvirt/qemu/l1.xml", DOMAIN, true);
    assert_eq!(out.problems, []);
    for (name, expected) in [
        ("domain.type", Value::text("kvm")),
        ("domain.asks_tcg", Value::Bool(false)),
        ("domain.machine", Value::text("pc-q35-8.2")),
        ("domain.memory_kib", Value::Int(16_777_216)),
        ("domain.vcpus", Value::Int(8)),
        ("domain.hugepages", Value::Bool(true)),
        ("domain.disks", Value::words(["/srv/l1.qcow2", "/dev/vg/l1"])),
        ("domain.hostdevs", Value::Int(1)),
        ("domain.cpu_mode", Value::text("custom")),
        ("domain.cpu_model", Value::text("Skylake-Client")),
        ("domain.cpu_require", Value::words(["vmx"])),
        ("domain.cpu_disable", Value::words(["mpx"])),
        ("domain.asks_virt", Value::Bool(true)),
        ("domain.hides_virt", Value::Bool(false)),
    ] {
        assert_eq!(value(&out, name), Some(expected), "{name}");
    }
    let memory = out.facts.iter().find(|f| f.name == "domain.memory_kib").unwrap();
    assert_eq!(memory.origin.line, Some(8));
    assert_eq!(memory.instance.as_deref(), Some("l1"));
}

#[test]
fn which_cpus_show_virtualization() {
    let (yes, no) = (Some(Value::Bool(true)), Some(Value::Bool(false)));
    for cpu in [
        "<cpu mode='host-passthrough'/>",
        "<cpu mode='host-model'/>",
        "<cpu mode='maximum'/>",
        "<cpu mode='custom'><model>EPYC</model><feature policy='require' name='svm'/></cpu>",
        "<cpu><model>Penryn</model><feature policy='optional' name='vmx'/></cpu>",
    ] {
        assert_eq!(shows(cpu), (yes.clone(), no.clone()), "{cpu}");
    }
    for cpu in [
        "",
        "<cpu mode='host-passthrough'><feature policy='disable' name='vmx'/></cpu>",
        "<cpu mode='host-model'><feature policy='disable' name='svm'/></cpu>",
        "<cpu mode='custom'><model>kvm64</model></cpu>",
        "<cpu mode='custom'><model>EPYC-Rome</model></cpu>",
        "<cpu><topology sockets='1' cores='2' threads='1'/></cpu>",
    ] {
        assert_eq!(shows(cpu), (no.clone(), yes.clone()), "{cpu}");
    }
}

#[test]
fn what_qemu_is_told_directly_is_not_guessed() {
    let cpu = "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>\
               <q:arg value='-cpu'/><q:arg value='host'/></q:commandline>";
    assert_eq!(shows(cpu), (None, None));
}

#[test]
fn emulation_and_models_that_hold_svm() {
    let text = "<domstatus state='running'><domain type='qemu'><name>b</name>\
        <os><type arch='x86_64'>hvm</type></os>\
        <cpu mode='custom'><model>Opteron_G2</model></cpu></domain></domstatus>";
    let out = run("run/libvirt/qemu/b.xml", text, true);
    assert_eq!(value(&out, "domain.asks_tcg"), Some(Value::Bool(true)));
    assert_eq!(value(&out, "domain.model_virt"), Some(Value::text("svm")));
    assert_eq!(value(&out, "domain.asks_virt"), None);
}

#[test]
fn a_cut_file_keeps_what_is_there_and_claims_no_absence() {
    let cut = &DOMAIN[..DOMAIN.find("<vcpu").unwrap() + 9];
    let out = run("etc/libvirt/qemu/l1.xml", cut, false);
    assert_eq!(value(&out, "domain.memory_kib"), Some(Value::Int(16_777_216)));
    for name in ["domain.hides_virt", "domain.vcpus", "domain.hostdevs"] {
        assert_eq!(value(&out, name), None, "{name}");
    }
    let out = run("etc/libvirt/qemu/l1.xml", cut, true);
    assert_eq!(out.facts, []);
    assert_eq!(out.problems.len(), 1);
}

#[test]
fn broken_numbers_cost_only_themselves() {
    let text = "<domain type='kvm'><name>a</name>\n<memory unit='parsec'>1</memory>\n\
                <vcpu>many</vcpu></domain>";
    let out = run("etc/libvirt/qemu/a.xml", text, true);
    let at: Vec<&str> = out.problems.iter().map(|p| p.source.as_str()).collect();
    assert_eq!(at, ["etc/libvirt/qemu/a.xml:2", "etc/libvirt/qemu/a.xml:3"]);
    assert_eq!(value(&out, "domain.type"), Some(Value::text("kvm")));
}

#[test]
fn other_xml_is_something_else() {
    for text in ["<network><name>x</name></network>", "<domainsnapshot/>", "hello", ""] {
        let out = run("commands/net.xml", text, true);
        assert!(out.facts.is_empty() && out.problems.is_empty(), "{text}");
    }
}

#[test]
fn capabilities_by_architecture() {
    let text = "<capabilities><host><topology><cells><cell id='1'>\
        <pages unit='KiB' size='4'>9</pages><pages unit='KiB' size='2048'>512</pages></cell>\
        </cells></topology></host><guest><os_type>hvm</os_type><arch name='x86_64'>\
        <domain type='qemu'/><domain type='kvm'/></arch></guest><guest><arch name='s390x'>\
        <domain type='qemu'/></arch></guest></capabilities>";
    let out = run("commands/virsh-capabilities.txt", text, true);
    let found: Vec<_> =
        out.facts.iter().map(|f| (f.instance.as_deref(), f.value.to_string())).collect();
    assert_eq!(
        found,
        [
            (Some("1/2048"), "512".to_owned()),
            (Some("x86_64"), "kvm qemu".to_owned()),
            (Some("s390x"), "qemu".to_owned())
        ]
    );
}
