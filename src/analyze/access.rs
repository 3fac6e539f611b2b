//! Access to /dev/kvm: mode, owner, group and ACL against the user who wants it.

use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Origin, Value};

/// Access.
pub const ANALYZER: Analyzer = Analyzer { name: "access", facts: FACTS, run: Run::Host(run) };

const FACTS: &[FactDef] = &[
    FactDef::new(
        "access.allowed",
        Kind::Bool,
        "whether modes, groups and ACL let the user of `id` open /dev/kvm for reading and writing",
        "ls -l /dev/kvm; id; getfacl /dev/kvm",
    ),
    FactDef::new(
        "access.added_later",
        Kind::Bool,
        "/etc/group lists the user in kvm, the running session does not have the group",
        "id; getent group kvm",
    ),
    FactDef::new(
        "access.group_is_kvm",
        Kind::Bool,
        "whether /dev/kvm belongs to the group kvm, by name or number",
        "ls -l /dev/kvm; getent group kvm",
    ),
    FactDef::new(
        "access.default_node",
        Kind::Bool,
        "whether /dev/kvm still has devtmpfs' default root:root 0600",
        "ls -l /dev/kvm",
    ),
    FactDef::new(
        "access.unmapped_owner",
        Kind::Bool,
        "whether owner or group of /dev/kvm has no name here: nobody, nogroup, or a bare number",
        "ls -ln /dev/kvm",
    ),
];

fn run(host: &Host) -> Vec<Fact> {
    [allowed(host), added_later(host), group_is_kvm(host), default_node(host), unmapped(host)]
        .into_iter()
        .flatten()
        .collect()
}

/// The permission bits of owner, group and others.
fn modes(host: &Host) -> Option<(u32, &Origin)> {
    let fact = host.facts.first("devkvm.mode")?;
    let Value::Text(text) = &fact.value else { return None };
    Some((u32::from_str_radix(text, 8).ok()?, &fact.origin))
}

fn has_group(host: &Host, group: &str) -> Option<bool> {
    let names = host.facts.words("user.groups");
    let numbers = host.facts.words("user.gids");
    if names.is_none() && numbers.is_none() {
        return None;
    }
    let in_names = names.is_some_and(|w| w.contains(group));
    let in_numbers = numbers.is_some_and(|w| w.contains(group));
    Some(in_names || in_numbers)
}

fn allowed(host: &Host) -> Option<Fact> {
    let (mode, origin) = modes(host)?;
    let owner = host.facts.text("devkvm.owner")?;
    let group = host.facts.text("devkvm.group")?;
    let read_write = |shift: u32| (mode >> shift) & 0o6 == 0o6;
    let verdict = |allowed: bool| Some(derived("access.allowed", Value::Bool(allowed), origin));
    if read_write(0) {
        return verdict(true);
    }
    let user = host.facts.text("user.name");
    if user == Some("root") || host.facts.int("user.uid") == Some(0) {
        return verdict(true);
    }
    let user = user?;
    if user == owner {
        return verdict(read_write(6));
    }
    if let Some(users) = host.facts.words("devkvm.acl_users") {
        if users.contains(user) {
            return verdict(true);
        }
    } else if host.facts.bool("devkvm.acl") == Some(true) {
        // There is an ACL and nobody listed it: the modes alone do not tell.
        return None;
    }
    verdict(has_group(host, group)? && read_write(3))
}

fn added_later(host: &Host) -> Option<Fact> {
    let members = host.facts.first("group.kvm_members")?;
    let user = host.facts.text("user.name")?;
    let Value::Words(words) = &members.value else { return None };
    let later = words.contains(user) && !has_group(host, "kvm")?;
    Some(derived("access.added_later", Value::Bool(later), &members.origin))
}

fn group_is_kvm(host: &Host) -> Option<Fact> {
    let group = host.facts.first("devkvm.group")?;
    let name = group.value.to_string();
    let by_number = host.facts.int("group.kvm_gid").is_some_and(|gid| gid.to_string() == name);
    Some(derived("access.group_is_kvm", Value::Bool(name == "kvm" || by_number), &group.origin))
}

fn default_node(host: &Host) -> Option<Fact> {
    let (mode, origin) = modes(host)?;
    let root = |name| host.facts.text(name).map(|t| t == "root");
    let default = mode & 0o777 == 0o600 && root("devkvm.owner")? && root("devkvm.group")?;
    Some(derived("access.default_node", Value::Bool(default), origin))
}

fn unmapped(host: &Host) -> Option<Fact> {
    let facts = [host.facts.first("devkvm.owner")?, host.facts.first("devkvm.group")?];
    let nameless = |f: &&Fact| {
        let name = f.value.to_string();
        matches!(name.as_str(), "nobody" | "nogroup") || name.bytes().all(|b| b.is_ascii_digit())
    };
    let found = facts.iter().any(nameless);
    Some(derived("access.unmapped_owner", Value::Bool(found), &facts[1].origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Layer;

    fn host(mode: &str, owner: &str, group: &str, user: &str, groups: &[&str]) -> Host {
        let mut host = Host::new("", Layer::Unknown, "x");
        let texts = [
            ("devkvm.mode", mode),
            ("devkvm.owner", owner),
            ("devkvm.group", group),
            ("user.name", user),
        ];
        for (name, value) in texts {
            add(&mut host, name, Value::text(value));
        }
        add(&mut host, "user.groups", Value::words(groups.iter().copied()));
        host
    }

    fn add(host: &mut Host, name: &'static str, value: Value) {
        host.facts.add(Fact { name, instance: None, value, origin: Origin::default() });
    }

    fn may_open(host: &Host) -> Option<bool> {
        allowed(host).map(|f| f.value == Value::Bool(true))
    }

    #[test]
    fn modes_and_groups_decide() {
        assert_eq!(may_open(&host("0660", "root", "kvm", "dev", &["dev", "kvm"])), Some(true));
        assert_eq!(may_open(&host("0660", "root", "kvm", "dev", &["dev"])), Some(false));
        assert_eq!(may_open(&host("0666", "root", "kvm", "dev", &["dev"])), Some(true));
        assert_eq!(may_open(&host("0600", "root", "root", "dev", &["kvm"])), Some(false));
        assert_eq!(may_open(&host("0600", "root", "root", "root", &[])), Some(true));
        assert_eq!(
            may_open(&host("0640", "root", "kvm", "dev", &["kvm"])),
            Some(false),
            "reading is not enough"
        );
    }

    #[test]
    fn an_acl_that_nobody_listed_leaves_it_open() {
        let mut host = host("0660", "root", "kvm", "dev", &["dev"]);
        add(&mut host, "devkvm.acl", Value::Bool(true));
        assert_eq!(may_open(&host), None);
        add(&mut host, "devkvm.acl_users", Value::words(["dev"]));
        assert_eq!(may_open(&host), Some(true));
    }

    #[test]
    fn a_group_of_the_file_that_the_session_lacks_was_added_later() {
        let mut host = host("0660", "root", "kvm", "dev", &["dev"]);
        assert_eq!(added_later(&host), None, "without /etc/group it cannot be told");
        add(&mut host, "group.kvm_members", Value::words(["dev"]));
        assert_eq!(added_later(&host).map(|f| f.value), Some(Value::Bool(true)));
    }
}
