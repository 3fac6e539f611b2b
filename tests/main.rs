//! Integration tests, one binary: linking once keeps them quick.

mod architecture;
mod cli;
mod equivalence;
mod messages;
mod registry;
mod support;
