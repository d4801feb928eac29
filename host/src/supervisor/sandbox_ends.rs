//! How sandbox children end.

/// Why a sandbox child is gone. Few, so that the series of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SandboxEnd {
    /// Its process ended: a defect, a signal, the system out of memory.
    Died,
    /// It was silent, or a call in it did not end in its time.
    Hung,
    /// It made a forbidden system call, or said what no child says: something tried to get out.
    Hostile,
    /// It could not be started, or not be locked down.
    NotStarted,
}

impl SandboxEnd {
    /// Every reason.
    pub const ALL: [SandboxEnd; 4] = [
        SandboxEnd::Died,
        SandboxEnd::Hung,
        SandboxEnd::Hostile,
        SandboxEnd::NotStarted,
    ];

    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            SandboxEnd::Died => "died",
            SandboxEnd::Hung => "hung",
            SandboxEnd::Hostile => "hostile",
            SandboxEnd::NotStarted => "not-started",
        }
    }
}
