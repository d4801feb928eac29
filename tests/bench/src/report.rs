//! How figures are told: as a table or as JSON, each with the kind of build they are of, and whether a missed target is an exit code.

use clap::Args;
use serde::Serialize;

/// Whether this build is optimised: figures of one that is not are of the shape, not of the size.
pub(crate) const OPTIMISED: bool = !cfg!(debug_assertions);

/// Options of every benchmark.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Prints JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Exits with 2 where a target is missed.
    #[arg(long)]
    pub(crate) check: bool,
}

impl Report {
    /// Prints the figures; says whether all targets were `met`, or need not be.
    pub(crate) fn tell<F: Serialize>(
        &self,
        figures: &F,
        met: bool,
        table: impl FnOnce(&F),
    ) -> Result<bool, String> {
        if self.json {
            let text = serde_json::to_string_pretty(figures).map_err(|error| error.to_string())?;
            println!("{text}");
        } else {
            table(figures);
        }
        Ok(met || !self.check)
    }
}

/// What heads a table.
pub(crate) fn build() -> &'static str {
    if OPTIMISED {
        "an optimised build"
    } else {
        "a DEBUG build"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_is_told_only_where_it_is_asked_for() {
        let told = |check, met| {
            let report = Report { json: true, check };
            report.tell(&1, met, |_| ()).unwrap()
        };
        assert!(told(false, false));
        assert!(told(true, true));
        assert!(!told(true, false));
    }
}
