//! Shared by the tests of the analyzers: facts in, facts out.

use crate::model::{Fact, Host, Layer, Origin, Value};

/// A host with these facts: name, instance (empty for none), value.
pub(super) fn host(facts: &[(&'static str, &str, Value)]) -> Host {
    let mut host = Host::new("h", Layer::Unknown, "input");
    for (name, instance, value) in facts {
        let instance = (!instance.is_empty()).then(|| (*instance).to_owned());
        host.facts.add(Fact { name, instance, value: value.clone(), origin: Origin::default() });
    }
    host
}

/// A fact's value as text.
pub(super) fn value(facts: &[Fact], name: &str) -> Option<String> {
    facts.iter().find(|f| f.name == name).map(|f| f.value.to_string())
}
