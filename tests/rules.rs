//! The tests inside the rule files, one named test each.

use std::process::ExitCode;
use std::sync::OnceLock;

use libtest_mimic::{Arguments, Failed, Trial as Test};
use nestdoctor::pipeline::Doctor;
use nestdoctor::rules::Care;
use nestdoctor::trial::trials;

fn doctor() -> &'static Doctor {
    static DOCTOR: OnceLock<Doctor> = OnceLock::new();
    DOCTOR.get_or_init(|| match Doctor::new(&[], Care::Thorough) {
        Ok(doctor) => doctor,
        Err(mistakes) => {
            let all: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
            panic!("the rules have mistakes:\n{}", all.join("\n"))
        }
    })
}

fn main() -> ExitCode {
    let tests = trials(doctor()).into_iter().map(|trial| {
        let name = format!("{}::{}", trial.rule, trial.case.name);
        Test::test(name, move || trial.run(doctor()).map_err(Failed::from))
    });
    libtest_mimic::run(&Arguments::from_args(), tests.collect()).exit_code()
}
