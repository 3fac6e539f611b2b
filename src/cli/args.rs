//! What can be typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Finds the root cause of failing nested virtualization across L0, L1 and L2
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Exit status: 0 no cause found, 1 at least one cause found, 2 wrong usage or nothing readable."
)]
pub struct Args {
    /// The command
    #[command(subcommand)]
    pub command: Command,
    /// Options of all commands
    #[command(flatten)]
    pub common: Common,
}

/// Options of all commands.
#[derive(Debug, ClapArgs)]
pub struct Common {
    /// Read more rules from a folder; a rule of the same id replaces the built-in one
    #[arg(long, value_name = "DIR", global = true)]
    pub rules: Vec<PathBuf>,
    /// Use colours
    #[arg(long, value_enum, default_value_t = Colour::Auto, global = true)]
    pub color: Colour,
    /// Threads that scan and match (default: all cores)
    #[arg(long, value_name = "N", global = true)]
    pub threads: Option<usize>,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Gather evidence from this host, write a bundle and print the report
    Collect(Collect),
    /// Rank the causes in a bundle, sosreport, archive, folder or log
    Analyze(Analyze),
    /// Explain a cause, symptom or fact
    Explain {
        /// Id of a cause or symptom, or name of a fact
        id: String,
    },
    /// Look at the rules and check them
    Rules {
        /// What to do
        #[command(subcommand)]
        command: RulesCommand,
    },
    /// Print the typed facts of an input, each with the line it was read from
    Facts(Facts),
    /// Compare microcode: what runs, what is installed, what was released
    Microcode(Microcode),
}

/// How and where a report goes.
#[derive(Debug, ClapArgs)]
pub struct Output {
    /// Format of the report
    #[arg(long, value_parser = ["table", "json"], default_value = "table")]
    pub format: String,
    /// Write the report to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `nestdoctor collect`
#[derive(Debug, ClapArgs)]
pub struct Collect {
    /// Read the files of another root, e.g. a mounted disk; commands are not run then
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Folder, or file name, of the bundle
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub bundle: PathBuf,
    /// Do not write a bundle, only report
    #[arg(long)]
    pub no_bundle: bool,
    /// Add what a failing program printed, from a file; may be given several times
    #[arg(long, value_name = "FILE")]
    pub stderr: Vec<PathBuf>,
    /// Time limit of each command, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub timeout: u64,
    /// How and where the report goes
    #[command(flatten)]
    pub output: Output,
}

/// `nestdoctor analyze`
#[derive(Debug, ClapArgs)]
pub struct Analyze {
    /// Bundle, sosreport, archive, folder or log file, `-` for standard input; `l0=PATH`, `l1=PATH`,
    /// `l2=PATH` name its layer
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// How and where the report goes
    #[command(flatten)]
    pub output: Output,
}

/// `nestdoctor facts`
#[derive(Debug, ClapArgs)]
pub struct Facts {
    /// As for `analyze`
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// How and where the facts go
    #[command(flatten)]
    pub output: Output,
}

/// `nestdoctor microcode`
#[derive(Debug, ClapArgs)]
pub struct Microcode {
    /// As for `analyze`; with none, this host
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// List the updates in files, folders or archives of microcode instead
    #[arg(long, requires = "inputs", conflicts_with = "update")]
    pub list: bool,
    /// Write the tables of released revisions anew, from checkouts, folders or archives of
    /// firmware; of several, the newest revision counts
    #[arg(long, requires = "inputs")]
    pub update: bool,
    /// With --update: name and date of the release, as the report is to show it
    #[arg(long, value_name = "TEXT", requires = "update")]
    pub release: Option<String>,
    /// With --update: folder of the tables
    #[arg(short, long, value_name = "FOLDER", default_value = ".", requires = "update")]
    pub output: PathBuf,
}

/// `nestdoctor rules ...`
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List all rules
    List,
    /// Check all rules; every mistake is shown with its position
    Lint,
    /// Run the tests inside the rules
    Test {
        /// Only rules with these ids
        ids: Vec<String>,
    },
}
