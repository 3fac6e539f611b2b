//! /etc/libvirt/qemu.conf, and libvirtd.conf with its modular successor virtqemud.conf:
//! `key = value` with strings and lists of strings; the files that packages install document each
//! key. Commented settings are the built-in defaults, which
//! distributions change, so they are not read.

use super::Reader;
use crate::model::Value;
use crate::parse::{kv, lines};

pub(super) fn parse(text: &str, reader: &mut Reader<'_, '_>) {
    for setting in kv::ini(text) {
        let fact = match setting.key {
            "user" => "libvirt.qemu_user",
            "group" => "libvirt.qemu_group",
            "security_driver" => "libvirt.security_driver",
            "dynamic_ownership" => {
                match kv::boolean(setting.value.trim()) {
                    Some(on) => {
                        let fact = "libvirt.dynamic_ownership";
                        reader.add(fact, Value::Bool(on), setting.line, setting.text);
                    }
                    None => reader.problem(setting.line, "dynamic_ownership is neither 0 nor 1"),
                }
                continue;
            }
            _ => continue,
        };
        let value = setting.value.trim();
        if value.is_empty() {
            reader.problem(setting.line, format!("{} is set to nothing", setting.key));
        } else {
            reader.add(fact, Value::text(value), setting.line, setting.text);
        }
    }
    device_acl(text, reader);
}

/// libvirtd.conf and virtqemud.conf: who may connect. A commented setting is the default of the
/// program that was built, and is not read.
pub(super) fn daemon(text: &str, reader: &mut Reader<'_, '_>) {
    for setting in kv::ini(text) {
        let fact = match setting.key {
            "unix_sock_group" => "libvirt.sock_group",
            "unix_sock_rw_perms" => "libvirt.sock_rw_perms",
            "auth_unix_rw" => "libvirt.auth_rw",
            "auth_tcp" => "libvirt.auth_tcp",
            _ => continue,
        };
        let value = setting.value.trim();
        if !value.is_empty() {
            reader.add(fact, Value::text(value), setting.line, setting.text);
        }
    }
}

/// `cgroup_device_acl = [ "/dev/null", ... ]`, over several lines.
fn device_acl(text: &str, reader: &mut Reader<'_, '_>) {
    let mut rest =
        lines(text).skip_while(|(_, l)| !l.trim_start().starts_with("cgroup_device_acl"));
    let Some((line, first)) = rest.next() else { return };
    let mut list = first.split_once('[').map_or("", |(_, list)| list).to_owned();
    let mut closed = list.contains(']');
    for (_, more) in rest {
        if closed || more.contains('=') {
            break;
        }
        list.push_str(more.split('#').next().unwrap_or(""));
        closed = more.contains(']');
    }
    if !closed {
        reader.problem(line, "the list cgroup_device_acl has no end");
        return;
    }
    let list = list.split(']').next().unwrap_or("");
    let devices = list.split(',').map(|d| kv::unquote(d.trim())).filter(|d| !d.is_empty());
    reader.add("libvirt.cgroup_device_acl", Value::words(devices), line, first);
}

#[cfg(test)]
mod tests {
    use super::super::facts_of;

    #[test]
    fn settings_and_no_comments() {
        let text = "# user = \"root\"\nuser = \"libvirt-qemu\"\ngroup=\"kvm\"\n\
            cgroup_device_acl = [\n  \"/dev/null\", # always\n  \"/dev/kvm\",\n]\nmax_files = 1\n";
        let text = &format!("{text}dynamic_ownership = 0\nsecurity_driver = \"none\"\n");
        let expected = [
            "libvirt.qemu_user=libvirt-qemu",
            "libvirt.qemu_group=kvm",
            "libvirt.dynamic_ownership=false",
            "libvirt.security_driver=none",
            "libvirt.cgroup_device_acl=/dev/kvm /dev/null",
        ];
        assert_eq!(facts_of("etc/libvirt/qemu.conf", text), expected);
    }

    #[test]
    fn who_may_connect() {
        let text = "#auth_tcp = \"none\"\nunix_sock_group = \"libvirt\"\n\
                    unix_sock_rw_perms = \"0777\"\nauth_unix_rw = \"none\"\n";
        let expected =
            ["libvirt.sock_group=libvirt", "libvirt.sock_rw_perms=0777", "libvirt.auth_rw=none"];
        assert_eq!(facts_of("etc/libvirt/libvirtd.conf", text), expected);
        assert_eq!(facts_of("etc/libvirt/virtqemud.conf", text), expected);
    }

    #[test]
    fn an_open_list_is_a_problem() {
        let text = "cgroup_device_acl = [\n \"/dev/null\",\nuser = \"\"\n";
        let facts = facts_of("etc/libvirt/qemu.conf", text);
        assert_eq!(
            facts,
            [
                "etc/libvirt/qemu.conf:3: user is set to nothing",
                "etc/libvirt/qemu.conf:1: the list cgroup_device_acl has no end",
            ]
        );
    }
}
