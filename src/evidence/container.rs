//! Containers: whether this machine is one, which engine runs them, and what the engine offers.
//!
//! A container betrays itself by marker files (`/.dockerenv`, `/run/.containerenv`, the service
//! account of Kubernetes), by the control group of its first process and by the variable
//! `container` that engines set for it (<https://systemd.io/CONTAINER_INTERFACE>). Engines are
//! asked with `podman info`, `docker info`, `docker version` and `docker context ls`; a
//! Kubernetes node lists /dev/kvm as a resource where KubeVirt runs.
//!
//! Not parsed: cgroup v2 of a container with its own namespace, which is just `0::/`.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::{kv, lines};

/// Containers.
pub const SLICE: Slice = Slice { name: "container", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file(".dockerenv"),
    Want::file("run/.containerenv"),
    Want::file("proc/1/cgroup"),
    Want::given("proc/self/cgroup"),
    // Environments and service accounts hold secrets: read where given, never taken.
    Want::given("proc/1/environ"),
    Want::given("var/run/secrets/kubernetes.io/serviceaccount/namespace"),
    Want::given("run/secrets/kubernetes.io/serviceaccount/namespace"),
    Want::output("env*"),
    Want::command("podman-info", &["podman", "info"], &["sos_commands/podman/podman_info"]),
    Want::command("docker-info", &["docker", "info"], &["sos_commands/docker/docker_info"]),
    Want::command(
        "docker-version",
        &["docker", "version"],
        &["sos_commands/docker/docker_version"],
    ),
    Want::command("docker-context", &["docker", "context", "ls"], &[]),
    Want::output("kubectl-describe-node*"),
    Want::output("kubectl-get-node*"),
    Want::output("oc-describe-node*"),
    Want::output("oc-get-node*"),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "container.kind",
        Kind::Text,
        "What runs the container that this machine is: docker, podman, kubernetes, lxc, \
              nspawn or containerd",
        "systemd-detect-virt --container",
    ),
    FactDef::new(
        "podman.rootless",
        Kind::Bool,
        "Whether podman runs without root",
        "podman info -f '{{.Host.Security.Rootless}}'",
    ),
    FactDef::new(
        "podman.runtime",
        Kind::Text,
        "OCI runtime of podman: crun, runc, krun (a VM per container)",
        "podman info -f '{{.Host.OCIRuntime.Name}}'",
    ),
    FactDef::new(
        "docker.desktop",
        Kind::Bool,
        "Whether the daemon is Docker Desktop's, in a VM of its own",
        "docker info -f '{{.OperatingSystem}}'",
    ),
    FactDef::new(
        "kubevirt.kvm_allocatable",
        Kind::Int,
        "How many devices.kubevirt.io/kvm the node offers to VMs; 0 where it has no usable \
              /dev/kvm",
        "kubectl get node NAME -o jsonpath='{.status.allocatable.devices\\.kubevirt\\.io/kvm}'",
    ),
    FactDef::new(
        "kubevirt.kvm_capacity",
        Kind::Int,
        "How many devices.kubevirt.io/kvm KubeVirt's device plugin registered on the node",
        "kubectl get node NAME -o jsonpath='{.status.capacity.devices\\.kubevirt\\.io/kvm}'",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let first = text.lines().next().unwrap_or("");
    let mut add = |name, value, line, text: &str| {
        out.fact(name, value, Origin::new(piece.path, Some(line), text));
    };
    match piece.path {
        ".dockerenv" => add("container.kind", Value::text("docker"), 1, ""),
        "run/.containerenv" => add("container.kind", Value::text("podman"), 1, first),
        path if path.ends_with("serviceaccount/namespace") => {
            add("container.kind", Value::text("kubernetes"), 1, first);
        }
        path if path.ends_with("/cgroup") => {
            let found = lines(&text).find_map(|(n, l)| Some((by_cgroup(l)?, n, l)));
            if let Some((kind, line, text)) = found {
                add("container.kind", Value::text(kind), line, text);
            }
        }
        path if path.ends_with("/environ") => environment(text.split('\0'), &mut add),
        path if path.starts_with("commands/env") => environment(text.lines(), &mut add),
        _ => match piece.file_name() {
            "podman-info.txt" => podman(&text, &mut add),
            name if name.starts_with("docker") => docker(&text, &mut add),
            _ => node(&text, &mut add),
        },
    }
}

/// The engine that a control group's path names.
fn by_cgroup(line: &str) -> Option<&'static str> {
    const PARTS: &[(&str, &str)] = &[
        ("/kubepods", "kubernetes"),
        ("/libpod", "podman"),
        ("/docker/", "docker"),
        ("/docker-", "docker"),
        ("/lxc/", "lxc"),
        ("/lxc.payload", "lxc"),
        ("/machine.slice/systemd-nspawn", "nspawn"),
        ("/cri-containerd", "containerd"),
    ];
    // Third field: `11:memory:/docker/4f2a...`.
    let path = line.splitn(3, ':').nth(2)?;
    PARTS.iter().find(|(part, _)| path.contains(part)).map(|(_, kind)| *kind)
}

/// Variables of a process inside a container.
fn environment<'a>(
    variables: impl Iterator<Item = &'a str>,
    add: &mut impl FnMut(&'static str, Value, u32, &str),
) {
    for (line, variable) in (1..).zip(variables) {
        let kind = match variable.split_once('=').map(|(k, v)| (k, v.trim())) {
            Some(("KUBERNETES_SERVICE_HOST", _)) => "kubernetes",
            Some(("container", "lxc" | "lxc-libvirt")) => "lxc",
            Some(("container", "systemd-nspawn")) => "nspawn",
            Some(("container", "podman")) => "podman",
            Some(("container", "docker")) => "docker",
            Some(("container", "containerd")) => "containerd",
            _ => continue,
        };
        add("container.kind", Value::text(kind), line, variable);
    }
}

/// `podman info`, YAML or JSON.
fn podman(text: &str, add: &mut impl FnMut(&'static str, Value, u32, &str)) {
    let mut in_runtime = false;
    for (line, text) in lines(text) {
        let Some((key, value)) = pair(text) else { continue };
        match key {
            "ociRuntime" => in_runtime = true,
            "name" if in_runtime => {
                in_runtime = false;
                add("podman.runtime", Value::text(value), line, text);
            }
            "rootless" => {
                if let Some(rootless) = kv::boolean(value) {
                    add("podman.rootless", Value::Bool(rootless), line, text);
                }
            }
            _ => {}
        }
    }
}

/// `docker info`, `docker version`, `docker context ls`.
fn docker(text: &str, add: &mut impl FnMut(&'static str, Value, u32, &str)) {
    for (line, text) in lines(text) {
        let body = text.trim();
        if let Some(system) = body.strip_prefix("Operating System:") {
            let desktop = system.trim() == "Docker Desktop";
            add("docker.desktop", Value::Bool(desktop), line, text);
        } else if body.starts_with("desktop-linux *") || body.starts_with("Server: Docker Desktop")
        {
            add("docker.desktop", Value::Bool(true), line, text);
        }
    }
}

/// `kubectl describe node`, or the node in YAML or JSON.
fn node(text: &str, add: &mut impl FnMut(&'static str, Value, u32, &str)) {
    let mut fact = None;
    for (line, text) in lines(text) {
        let Some((key, value)) = pair(text) else { continue };
        match key {
            "Capacity" | "capacity" => fact = Some("kubevirt.kvm_capacity"),
            "Allocatable" | "allocatable" => fact = Some("kubevirt.kvm_allocatable"),
            "devices.kubevirt.io/kvm" => {
                if let (Some(fact), Some(count)) = (fact, quantity(value)) {
                    add(fact, Value::Int(count), line, text);
                }
            }
            _ => {}
        }
    }
}

/// `key: value` of YAML or JSON, without quotes and commas.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().trim_start_matches("- ").split_once(':')?;
    Some((kv::unquote(key.trim()), kv::unquote(value.trim().trim_end_matches([',', '{']).trim())))
}

/// A Kubernetes quantity without fraction: `1k`, `110`.
fn quantity(text: &str) -> Option<i64> {
    match text.strip_suffix('k') {
        Some(thousands) => thousands.parse::<i64>().ok()?.checked_mul(1000),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, text: &str) -> Vec<String> {
        let mut out = Out::default();
        parse(Piece { path, bytes: text.as_bytes(), whole: true }, &mut out);
        assert_eq!(out.problems, []);
        out.facts.iter().map(|f| format!("{}={}", f.name, f.value)).collect()
    }

    #[test]
    fn what_betrays_a_container() {
        for (path, text, kind) in [
            (".dockerenv", "", "docker"),
            ("run/.containerenv", "engine=\"podman-4.9\"\n", "podman"),
            ("proc/1/cgroup", "11:memory:/docker/720a04af\n", "docker"),
            (
                "proc/1/cgroup",
                "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope\n",
                "kubernetes",
            ),
            ("proc/1/environ", "PATH=/bin\0container=lxc\0", "lxc"),
            ("commands/env.txt", "KUBERNETES_SERVICE_HOST=10.96.0.1\n", "kubernetes"),
            ("var/run/secrets/kubernetes.io/serviceaccount/namespace", "lab", "kubernetes"),
        ] {
            assert_eq!(run(path, text), [format!("container.kind={kind}")], "{path}");
        }
    }

    #[test]
    fn a_host_is_no_container() {
        for text in
            ["0::/init.scope\n", "0::/\n", "1:name=systemd:/user.slice/docker.service\n", "x"]
        {
            assert_eq!(run("proc/1/cgroup", text), Vec::<String>::new());
        }
    }

    #[test]
    fn podman_in_yaml_and_json() {
        let yaml = "host:\n  conmon:\n    name: x\n  ociRuntime:\n    name: krun\n    path: /y\n\
                    \x20 security:\n    rootless: true\n";
        assert_eq!(
            run("commands/podman-info.txt", yaml),
            ["podman.runtime=krun", "podman.rootless=true"]
        );
        let json = "\"ociRuntime\": {\n \"name\": \"crun\",\n},\n\"rootless\": false,\n";
        assert_eq!(
            run("commands/podman-info.txt", json),
            ["podman.runtime=crun", "podman.rootless=false"]
        );
    }

    #[test]
    fn docker_desktop() {
        let desktop = ["docker.desktop=true"];
        assert_eq!(
            run("commands/docker-info.txt", "Server:\n Operating System: Docker Desktop\n"),
            desktop
        );
        assert_eq!(run("commands/docker-version.txt", "Server: Docker Desktop 4.30.0\n"), desktop);
        assert_eq!(
            run("commands/docker-context.txt", "NAME TYPE\ndesktop-linux * moby\n"),
            desktop
        );
        let native = ["docker.desktop=false"];
        assert_eq!(
            run("commands/docker-info.txt", " Operating System: Debian GNU/Linux 12\n"),
            native
        );
    }

    #[test]
    fn kvm_of_a_node() {
        let text = "Capacity:\n  devices.kubevirt.io/kvm:  1k\nAllocatable:\n  devices.kubevirt.io/kvm:  0\n\
                    Allocated resources:\n  devices.kubevirt.io/kvm  1  1\n";
        assert_eq!(
            run("commands/kubectl-describe-node.txt", text),
            ["kubevirt.kvm_capacity=1000", "kubevirt.kvm_allocatable=0"]
        );
        let json = "\"allocatable\": {\n  \"devices.kubevirt.io/kvm\": \"110\",\n";
        assert_eq!(run("commands/kubectl-get-node.txt", json), ["kubevirt.kvm_allocatable=110"]);
    }
}
