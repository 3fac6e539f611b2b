//! Wants: what evidence asks a source for.

/// A file, a symbolic link, or the output of a command, that some evidence is read from.
///
/// Evidence knows only canonical paths: `proc/cpuinfo` for a file, `commands/lsmod.txt` for
/// the output of a command. Where other tools keep the same thing is said here too, so that one
/// place names a datum.
#[derive(Debug, Clone, Copy)]
pub enum Want {
    /// Files by their path on the machine, without the leading slash. `*` stands for any run of
    /// characters but `/`, `**` for any run of folders.
    File {
        /// Glob over canonical paths. On a live host `{cpu}` stands for family, model and stepping
        /// of the processor as files of microcode are named (`06-5e-03`), `{family}` for the
        /// family (`19`); a want with them needs another one, without, for given inputs.
        glob: &'static str,
        /// Whether `collect` takes it from a live host.
        live: bool,
    },
    /// Symbolic links whose targets are the content: the link's text as it stands, unresolved and
    /// without a newline (`../../../../bus/pci/drivers/vfio-pci`). sysfs says much by links.
    ///
    /// `collect` follows links in the folders on the way (`sys/bus/pci/devices/*` are links), so
    /// that `sys/bus/pci/devices/*/driver` works on a live host. A saved tree has links as links,
    /// and the device's own folder under `sys/devices/`: want that too, by a glob with `**`, which
    /// `collect` leaves out. Where an input has a file in the link's place (a rule's test, an
    /// archive without links), its content is delivered instead: trim it.
    Link {
        /// Glob over canonical paths.
        glob: &'static str,
    },
    /// Output of a command.
    Command {
        /// Its plain name: kept as `commands/NAME.txt`.
        name: &'static str,
        /// Program and arguments that `collect` runs; read-only. Empty: never run, only read.
        argv: &'static [&'static str],
        /// Where sosreport keeps it.
        sos: &'static [&'static str],
        /// Path that has to exist on a live host before the command is run; empty: none. A command
        /// that would load a kernel module is only run where the module is there.
        needs: &'static str,
    },
}

impl Want {
    /// A file that `collect` takes too.
    pub const fn file(glob: &'static str) -> Self {
        Self::File { glob, live: true }
    }

    /// A file that is only read when an input has it.
    pub const fn given(glob: &'static str) -> Self {
        Self::File { glob, live: false }
    }

    /// A symbolic link, whose target is wanted and not what it leads to.
    pub const fn link(glob: &'static str) -> Self {
        Self::Link { glob }
    }

    /// A command with its place in a sosreport.
    pub const fn command(
        name: &'static str,
        argv: &'static [&'static str],
        sos: &'static [&'static str],
    ) -> Self {
        Self::Command { name, argv, sos, needs: "" }
    }

    /// A command that is only run where a path exists, with its place in a sosreport.
    pub const fn command_where(
        needs: &'static str,
        name: &'static str,
        argv: &'static [&'static str],
        sos: &'static [&'static str],
    ) -> Self {
        Self::Command { name, argv, sos, needs }
    }

    /// A command's output that is only read when an input has it.
    pub const fn output(name: &'static str) -> Self {
        Self::Command { name, argv: &[], sos: &[], needs: "" }
    }

    /// Glob over canonical paths.
    pub fn glob(&self) -> String {
        match self {
            Self::File { glob, .. } | Self::Link { glob } => (*glob).to_owned(),
            Self::Command { name, .. } => format!("commands/{name}.txt"),
        }
    }
}
