//! What is told one by one.

/// Which events are sent, and what they say.
#[expect(clippy::struct_excessive_bools, reason = "each kind is asked for by itself")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// Programs that are started.
    pub process_exec: bool,
    /// Processes that end.
    pub process_exit: bool,
    /// Connections that end.
    pub tcp_connection_closed: bool,
    /// What is said of the arguments of programs; never without `process_exec`.
    pub args: Arguments,
    /// Of one kind, per workload and second, 1 to 10,000.
    pub rate: u32,
    /// Whether processes that end have their joules; never without `process_exit`.
    pub energy: bool,
}

impl Events {
    /// Whether any are asked for.
    pub const fn any(self) -> bool {
        self.process_exec || self.process_exit || self.tcp_connection_closed
    }
}

impl Default for Events {
    fn default() -> Self {
        Self {
            process_exec: false,
            process_exit: false,
            tcp_connection_closed: false,
            args: Arguments::None,
            rate: 100,
            energy: false,
        }
    }
}

/// What is said of the arguments of programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arguments {
    /// Nothing.
    #[default]
    None,
    /// All but what looks like a secret.
    Redacted,
}

impl Arguments {
    /// All, the default first.
    pub const ALL: [Self; 2] = [Self::None, Self::Redacted];

    /// The name that the configuration uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Redacted => "redacted",
        }
    }
}
