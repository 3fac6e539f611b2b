//! Integration tests, one binary: linking once keeps them quick.
#![expect(
    clippy::disallowed_methods,
    reason = "tests read and write files, and run the program as a user does"
)]

mod architecture;
mod cli;
mod engine;
mod equivalence;
mod inputs;
mod iommu;
mod journal;
mod layers;
mod live;
mod messages;
mod registry;
mod robustness;
mod support;
