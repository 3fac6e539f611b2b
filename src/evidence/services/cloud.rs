//! Descriptions of cloud instances: `gcloud compute instances describe`, `aws ec2
//! describe-instances`, `az vm show`, and the labels that clouds put on Kubernetes nodes.
//!
//! All of them print YAML, JSON or tables by choice of the user, so single keys are looked for,
//! whatever surrounds them.

use std::sync::LazyLock;

use regex::Regex;

use super::Reader;
use crate::model::Value;
use crate::parse::lines;

static MACHINE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"["']?\b(?:machineType|InstanceType|vmSize)["']?\s*[:=|]\s*["']?([A-Za-z0-9_./:-]+)"#)
});

static NESTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"["']?\b(?:enableNestedVirtualization|NestedVirtualization)["']?\s*[:=|]\s*["']?(?i:(true|enabled)|false|disabled)\b"#,
    )
});

static SECURITY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"["']?\bsecurityType["']?\s*[:=|]\s*["']?([A-Za-z]+)"#));

/// GCP's two ways to make a confidential VM.
static CONFIDENTIAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"["']?\b(?:enableConfidentialCompute["']?\s*[:=]\s*["']?true|confidentialInstanceType["']?\s*[:=]\s*["']?[A-Z]+)"#,
    )
});

static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"\b(?:node|beta)\.kubernetes\.io/instance-type["']?\s*[=:]\s*["']?([A-Za-z0-9_.-]+)"#)
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

/// A description by a cloud's command-line tool.
pub(super) fn instance(text: &str, reader: &mut Reader<'_, '_>) {
    for (line, text) in lines(text) {
        if let Some(machine) = MACHINE.captures(text).and_then(|c| c.get(1)) {
            let machine = machine.as_str().rsplit('/').next().unwrap_or_default();
            reader.add("cloud.machine_type", Value::text(machine), line, text);
        }
        if let Some(nested) = NESTED.captures(text) {
            let on = Value::Bool(nested.get(1).is_some());
            reader.add("cloud.nested_requested", on, line, text);
        } else if text.contains("/licenses/enable-vmx") {
            // The way before there was a setting: a licence on the boot disk's image.
            reader.add("cloud.nested_requested", Value::Bool(true), line, text);
        }
        if let Some(kind) = SECURITY.captures(text).and_then(|c| c.get(1)) {
            reader.add("cloud.security_type", Value::text(kind.as_str()), line, text);
        } else if CONFIDENTIAL.is_match(text) {
            reader.add("cloud.security_type", Value::text("ConfidentialVM"), line, text);
        }
    }
}

/// Labels of Kubernetes nodes.
pub(super) fn node_labels(text: &str, reader: &mut Reader<'_, '_>) {
    for (line, text) in lines(text) {
        if let Some(machine) = LABEL.captures(text).and_then(|c| c.get(1)) {
            reader.add("cloud.machine_type", Value::text(machine.as_str()), line, text);
        }
    }
}

/// `cloud-id`, of cloud-init.
pub(super) fn id(text: &str, reader: &mut Reader<'_, '_>) {
    if let Some((line, text)) = lines(text).find(|(_, l)| !l.trim().is_empty())
        && !text.trim().contains(char::is_whitespace)
    {
        reader.add("cloud.id", Value::text(text.trim()), line, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts_of;

    #[test]
    fn three_clouds() {
        let gcp = "advancedMachineFeatures:\n  enableNestedVirtualization: true\n\
                   machineType: https://www.googleapis.com/compute/v1/projects/p/zones/z/machineTypes/e2-standard-4\n";
        let expected = ["cloud.nested_requested=true", "cloud.machine_type=e2-standard-4"];
        assert_eq!(facts_of("commands/gcloud-describe.txt", gcp), expected);
        let aws = "  \"InstanceType\": \"c8i.xlarge\",\n  \"CpuOptions\": {\"NestedVirtualization\": \"disabled\"}\n";
        let expected = ["cloud.machine_type=c8i.xlarge", "cloud.nested_requested=false"];
        assert_eq!(facts_of("commands/aws-ec2-describe.txt", aws), expected);
        let azure = "\"vmSize\": \"Standard_D4s_v5\",\n\"securityType\": \"TrustedLaunch\"\n";
        let expected = ["cloud.machine_type=Standard_D4s_v5", "cloud.security_type=TrustedLaunch"];
        assert_eq!(facts_of("commands/az-vm-show.txt", azure), expected);
    }

    #[test]
    fn nodes_and_ids() {
        let labels = "beta.kubernetes.io/instance-type=n1-standard-4\nkubernetes.io/os=linux\n";
        let path = "commands/kubectl-get-node-labels.txt";
        assert_eq!(facts_of(path, labels), ["cloud.machine_type=n1-standard-4"]);
        assert_eq!(facts_of("commands/cloud-id.txt", "gce\n"), ["cloud.id=gce"]);
        assert_eq!(
            facts_of("commands/cloud-id.txt", "cloud-id: not found\n"),
            Vec::<String>::new()
        );
    }
}
