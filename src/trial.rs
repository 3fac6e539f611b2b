//! Runs the tests that rule files carry: each goes through the whole pipeline, from bytes to
//! ranking. Used by `nestdoctor rules test` and by `cargo test`.

use crate::model::Host;
use crate::pipeline::{Doctor, Input, vocabulary};
use crate::rules::case::{Case, Expect};
use crate::rules::condition::Filter;
use crate::rules::eval::{Answer, Evaluator};
use crate::source;

/// A test with the rule it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'d> {
    /// Id of the rule.
    pub rule: &'d str,
    /// File of the rule.
    pub file: &'d str,
    /// The test.
    pub case: &'d Case,
    kind: Tested,
}

/// What kind of rule a test belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tested {
    Symptom,
    Cause,
    Advice,
}

/// All tests of a rule base, by rule, then in the order of the file.
pub fn trials(doctor: &Doctor) -> Vec<Trial<'_>> {
    let rules = &doctor.rules;
    let symptoms = rules.symptoms.values().map(|r| (&r.id, &r.file, &r.cases, Tested::Symptom));
    let causes = rules.causes.values().map(|r| (&r.id, &r.file, &r.cases, Tested::Cause));
    let advice = rules.advice.values().map(|r| (&r.id, &r.file, &r.cases, Tested::Advice));
    let all = symptoms.chain(causes).chain(advice);
    all.flat_map(|(rule, file, cases, kind)| {
        cases.iter().map(move |case| Trial { rule, file, case, kind })
    })
    .collect()
}

impl Trial<'_> {
    /// Runs the test.
    ///
    /// # Errors
    /// What came instead of what was expected.
    pub fn run(&self, doctor: &Doctor) -> Result<(), String> {
        let inputs = self.case.inputs.iter().enumerate().map(|(i, input)| Input {
            source: Box::new(source::memory(
                &input.layer.map_or_else(|| format!("input-{i}"), |l| l.to_string()),
                input.tree(&doctor.rules.machines),
            )),
            layer: input.layer,
        });
        let examination = doctor.examine(inputs.collect());
        if self.kind == Tested::Symptom {
            return self.judge_symptom(doctor, &examination.stack.hosts);
        }
        let report = doctor.diagnose(examination);
        if self.kind == Tested::Advice {
            let given = report.advice.iter().any(|a| a.id == self.rule);
            let ids: Vec<_> = report.advice.iter().map(|a| a.id.as_str()).collect();
            return self.judge(given, &format!("advice: [{}]", ids.join(", ")));
        }
        let reported = report.causes.iter().any(|c| c.id == self.rule)
            || report.causes.iter().flat_map(|c| &c.explains).any(|e| e.id == self.rule);
        let undetermined = report.undetermined.iter().any(|u| u.id == self.rule);
        let as_expected = match self.case.expect {
            Expect::Fires => reported,
            Expect::Silent => !reported && !undetermined,
            Expect::Unknown => !reported && undetermined,
        };
        if as_expected {
            return Ok(());
        }
        let ids = |causes: &[crate::report::view::CauseView]| {
            causes
                .iter()
                .map(|c| format!("{} {:.2}", c.id, c.confidence))
                .collect::<Vec<_>>()
                .join(", ")
        };
        Err(format!(
            "expected {}; causes: [{}], suspected: [{}], undetermined: [{}]",
            word(self.case.expect),
            ids(&report.causes),
            ids(&report.suspected),
            report.undetermined.iter().map(|u| u.id.as_str()).collect::<Vec<_>>().join(", ")
        ))
    }

    fn judge_symptom(&self, doctor: &Doctor, hosts: &[Host]) -> Result<(), String> {
        let stack = crate::model::Stack { hosts: hosts.to_vec(), ..Default::default() };
        let evaluator = Evaluator::new(&stack, &doctor.rules, vocabulary());
        let answers: Vec<Answer> = (0..stack.hosts.len())
            .map(|i| evaluator.symptom(self.rule, &Filter::default(), i))
            .collect();
        let seen = answers.iter().any(|a| matches!(a, Answer::Yes(_)));
        let found: Vec<_> =
            stack.hosts.iter().flat_map(|h| h.events.iter()).map(|e| e.kind.as_str()).collect();
        self.judge(seen, &format!("seen: [{}]", found.join(", ")))
    }

    /// For what is there or not: neither symptoms nor advice are ever open.
    fn judge(&self, there: bool, found: &str) -> Result<(), String> {
        if there == (self.case.expect == Expect::Fires) {
            return Ok(());
        }
        Err(format!("expected {}; {found}", word(self.case.expect)))
    }
}

fn word(expect: Expect) -> &'static str {
    match expect {
        Expect::Fires => "fires",
        Expect::Silent => "silent",
        Expect::Unknown => "unknown",
    }
}
