//! This machine: what is collected here says the same when it is analyzed elsewhere.

use std::time::Duration;

use nestdoctor::collect;
use nestdoctor::pipeline::{Doctor, Examination, Input};
use nestdoctor::rules::Care;
use nestdoctor::source::live::{self, LiveOptions};
use nestdoctor::source::{self, bundle};

/// Facts and gaps without the name of the input.
fn seen(examination: &Examination) -> Vec<String> {
    let facts = examination.facts().map(|(host, fact)| {
        format!(
            "{} {} {:?} {:?} {:?}",
            host.layer, fact.name, fact.instance, fact.value, fact.origin
        )
    });
    let gaps = examination.stack.hosts.iter().flat_map(|h| &h.gaps).map(|g| format!("{g:?}"));
    facts.chain(gaps).collect()
}

#[test]
fn a_bundle_says_what_the_live_host_said() {
    let timeout = Duration::from_secs(2);
    let options = LiveOptions { timeout, deadline: timeout * 15, ..LiveOptions::default() };
    let collected = live::collect(&collect::wants(), &options, &|_| {});
    let folder = tempfile::tempdir().expect("a folder");
    let path = bundle::write(&collected, "here", "now", folder.path()).expect("a bundle");

    let doctor = Doctor::new(&[], Care::Quick).expect("the rules load");
    let examine = |source| doctor.examine(vec![Input { source, layer: None }]);
    let live = examine(Box::new(collected.source("here", "now")));
    let later = examine(source::open(&path).expect("the bundle opens"));

    assert!(seen(&live).iter().any(|line| line.contains("kernel.release")), "{:?}", seen(&live));
    assert_eq!(seen(&live), seen(&later));
    assert_eq!(live.problems, later.problems);
}
