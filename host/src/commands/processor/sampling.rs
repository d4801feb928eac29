//! Where fuel goes, by function, the same on every machine and every time.
//!
//! A call is made again and again with ever more fuel, each time less than it needs, and each time it dies where the fuel
//! ends: the backtrace of that death is a sample. So the profile is by fuel and not by time, needs no change to the
//! component, and cannot be disturbed. Fuel is looked at where functions begin and loops turn, so that what a function
//! burns in a straight line may be charged to the next such place: right to a few operators.

use std::collections::BTreeMap;

use greenroom_sandbox::{CallLimits, CallOutcome, FaultKind, Frame, LoadedProcessor};

use super::recorder::MadeCall;
use super::workshop::Workshop;

/// All fuel one profile may burn: some 20 s. Sampling a call burns half its fuel for each sample.
const MOST_FUEL: u64 = 20_000_000_000;
/// Fewest samples of a profile, however dear the calls are.
const FEWEST: u64 = 20;
/// What is charged to a call's end: results on their way to the host, after the last look at the fuel.
const AT_THE_END: &str = "(end of the call)";

/// What one function takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Share {
    /// Samples in which it was the innermost.
    pub(super) own: u64,
    /// Samples in which it was anywhere among the 16 innermost.
    pub(super) total: u64,
    /// Where in it, most often.
    places: BTreeMap<(String, u32), u64>,
}

impl Share {
    /// File and line at which it was found most often, where the component has debug information.
    pub(super) fn place(&self) -> Option<(&str, u32)> {
        let most = self.places.iter().max_by_key(|(_, count)| **count)?;
        Some((most.0.0.as_str(), most.0.1))
    }
}

/// A profile of some calls.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Samples taken.
    pub(super) samples: u64,
    /// Fuel that each stands for.
    pub(super) fuel_each: u64,
    shares: BTreeMap<String, Share>,
}

impl Profile {
    /// The functions, dearest first.
    pub(super) fn functions(&self) -> Vec<(&str, &Share)> {
        let mut functions: Vec<_> = self
            .shares
            .iter()
            .map(|(name, share)| (name.as_str(), share))
            .collect();
        functions.sort_by_key(|(name, share)| (std::cmp::Reverse((share.own, share.total)), *name));
        functions
    }

    /// Takes one sample.
    fn add(&mut self, frames: &[Frame]) {
        self.samples += 1;
        let Some(innermost) = frames.first() else {
            let share = self.shares.entry(AT_THE_END.to_owned()).or_default();
            share.own += 1;
            share.total += 1;
            return;
        };
        let mut seen = Vec::new();
        for frame in frames {
            if !seen.contains(&frame.function.as_str()) {
                seen.push(&frame.function);
                self.shares.entry(frame.function.clone()).or_default().total += 1;
            }
        }
        let share = self.shares.entry(innermost.function.clone()).or_default();
        share.own += 1;
        if let (Some(file), Some(line)) = (&innermost.file, innermost.line) {
            *share.places.entry((file.clone(), line)).or_default() += 1;
        }
    }
}

/// Profiles calls that were made, with about `wanted` samples in all. `progress` hears how many are taken, of how many.
pub(super) fn profile(
    workshop: &Workshop,
    loaded: &LoadedProcessor,
    calls: &[MadeCall],
    wanted: u64,
    progress: impl Fn(u64, u64),
) -> anyhow::Result<Profile> {
    let fuel: u64 = calls.iter().map(|call| call.report.fuel).sum();
    if fuel == 0 {
        return Ok(Profile::default());
    }
    let dearest = calls.iter().map(|call| call.report.fuel).max().unwrap_or(1);
    let samples = wanted
        .min((MOST_FUEL / (dearest / 2).max(1)).max(FEWEST))
        .max(1);
    let each = (fuel / samples).max(1);
    let mut profile = Profile {
        fuel_each: each,
        ..Profile::default()
    };
    // What is left over of one call counts for the next, so that many cheap calls are sampled as fairly as a dear one.
    let mut at = each / 2;
    for call in calls {
        while at < call.report.fuel {
            progress(profile.samples, samples);
            let limits = CallLimits {
                fuel: at,
                ..call.limits
            };
            let called = workshop
                .sandbox
                .call(loaded, &call.call, &limits, call.seed)?;
            match called.outcome {
                CallOutcome::Faulted(fault) if fault.kind == FaultKind::OutOfFuel => {
                    profile.add(&fault.backtrace);
                }
                CallOutcome::Faulted(_) | CallOutcome::Answered(_) => profile.add(&[]),
            }
            at += each;
        }
        at -= call.report.fuel;
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, line: Option<u32>) -> Frame {
        Frame {
            function: function.to_owned(),
            file: line.map(|_| "src/lib.rs".to_owned()),
            line,
            offset: None,
        }
    }

    #[test]
    fn recursion_counts_once_and_the_most_frequent_line_is_named() {
        let mut profile = Profile::default();
        profile.add(&[
            frame("inner", Some(7)),
            frame("outer", None),
            frame("outer", None),
        ]);
        profile.add(&[frame("inner", Some(7)), frame("outer", None)]);
        profile.add(&[frame("inner", Some(9))]);
        profile.add(&[]);
        let functions = profile.functions();
        assert_eq!(functions[0].0, "inner");
        assert_eq!((functions[0].1.own, functions[0].1.total), (3, 3));
        assert_eq!(functions[0].1.place(), Some(("src/lib.rs", 7)));
        let outer = functions
            .iter()
            .find(|(name, _)| *name == "outer")
            .unwrap()
            .1;
        assert_eq!((outer.own, outer.total), (0, 2));
        assert_eq!(profile.samples, 4);
    }
}
