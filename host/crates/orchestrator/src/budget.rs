//! What all rounds of one step of a stage share: one fuel, CPU, log and emission budget, at most 64 reads and 16 MiB of
//! documents (DESIGN §3.1). Without a carry a stage is one step.

use greenroom_sandbox::{
    CallLimits, CallReport, Emission, FaultKind, GuestFault, Read, ReadOutcome, Want,
};
use serde::{Deserialize, Serialize};

/// Reads of one step.
const MAX_READS: usize = 64;
/// Bytes of what a read names. Reads are kept by it, in a key that every storage backend can hold.
const MAX_WANT_BYTES: usize = 2_048;
/// Bytes of documents of one step.
const MAX_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Steps of one target.
const MAX_STEPS: u32 = 1_000;
/// Emissions a target's steps may leave with the host.
const MAX_KEPT_EMISSIONS: usize = 50_000;

/// How far the current stage of the current processor has come.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StepProgress {
    /// Reads so far in this step.
    pub(crate) reads: Vec<Read>,
    /// Wanted, not yet read.
    pub(crate) wanted: Vec<Want>,
    /// From the previous step.
    pub(crate) carry: Option<String>,
    /// Emissions of finished steps.
    pub(crate) kept: Vec<Emission>,
    /// A limit that the reads themselves broke; ends the stage before the next call.
    pub(crate) broken: Option<GuestFault>,
    steps: u32,
    document_bytes: u64,
    fuel: u64,
    cpu_us: u64,
    log_bytes: u64,
}

impl StepProgress {
    /// What is left of `limits` for the next call of this step.
    pub(crate) fn left(&self, limits: &CallLimits) -> CallLimits {
        limits.less(self.fuel, self.cpu_us / 1_000, self.log_bytes, 0)
    }

    /// Charges a call.
    pub(crate) fn charge(&mut self, report: &CallReport) {
        self.fuel = self.fuel.saturating_add(report.fuel);
        self.cpu_us = self.cpu_us.saturating_add(report.cpu_us);
        self.log_bytes = self.log_bytes.saturating_add(report.log.bytes);
    }

    /// Takes the wants of a round: those not read before in this step. No new one, or too many, is a fault.
    pub(crate) fn want(&mut self, wants: Vec<Want>) -> Result<(), GuestFault> {
        self.wanted.clear();
        self.wanted = new_wants(&self.reads, wants)?;
        Ok(())
    }

    /// Ends the step with a carry and begins the next one.
    pub(crate) fn next_step(
        &mut self,
        carry: String,
        emissions: Vec<Emission>,
    ) -> Result<(), GuestFault> {
        let kept = std::mem::take(&mut self.kept);
        let steps = self.steps + 1;
        *self = StepProgress {
            carry: Some(carry),
            kept,
            steps,
            ..StepProgress::default()
        };
        self.kept.extend(emissions);
        if steps >= MAX_STEPS {
            return Err(GuestFault::new(
                FaultKind::ReadLimit,
                format!(
                    "the target took more than {MAX_STEPS} steps: split it into several targets"
                ),
            ));
        }
        if self.kept.len() > MAX_KEPT_EMISSIONS {
            return Err(GuestFault::new(
                FaultKind::OutputTooLarge,
                format!(
                    "the target has more than {MAX_KEPT_EMISSIONS} emissions: split it into several targets"
                ),
            ));
        }
        Ok(())
    }

    /// Adds what reading gave, in the order it was wanted.
    pub(crate) fn add(&mut self, reads: Vec<Read>) {
        for read in reads {
            if let ReadOutcome::Document { body, .. } = &read.outcome {
                self.document_bytes = self.document_bytes.saturating_add(body.len() as u64);
            }
            self.reads.push(read);
        }
        self.wanted.clear();
        if self.document_bytes > MAX_DOCUMENT_BYTES {
            self.broken = Some(too_many_bytes());
        }
    }
}

/// What a pending call wants besides what it was given. A function of the call alone, so that a replay of it judges as
/// the run did.
///
/// # Errors
/// The fault `read-limit`, where nothing is new, a URL is too long, or it would be more than 64 reads in all.
pub fn new_wants(reads: &[Read], wants: Vec<Want>) -> Result<Vec<Want>, GuestFault> {
    let mut new = Vec::new();
    for want in wants {
        if !reads.iter().any(|read| read.want == want) && !new.contains(&want) {
            new.push(want);
        }
    }
    if new.is_empty() {
        return Err(GuestFault::new(
            FaultKind::ReadLimit,
            "the call is pending but wants no read that it does not have: return a result once `read` answers",
        ));
    }
    let long = |want: &Want| {
        let (Want::Get(target) | Want::List(target)) = want;
        target.len() > MAX_WANT_BYTES
    };
    if new.iter().any(long) {
        return Err(GuestFault::new(
            FaultKind::ReadLimit,
            format!("the stage wants a read whose URL has more than {MAX_WANT_BYTES} bytes"),
        ));
    }
    if reads.len() + new.len() > MAX_READS {
        return Err(GuestFault::new(
            FaultKind::ReadLimit,
            format!("the stage wants more than {MAX_READS} reads: use a carry, or read less"),
        ));
    }
    Ok(new)
}

/// The fault of a call that is not made, because its documents are too many bytes.
pub fn document_fault(reads: &[Read]) -> Option<GuestFault> {
    let bytes: u64 = reads
        .iter()
        .map(|read| match &read.outcome {
            ReadOutcome::Document { body, .. } => body.len() as u64,
            _ => 0,
        })
        .sum();
    (bytes > MAX_DOCUMENT_BYTES).then(too_many_bytes)
}

fn too_many_bytes() -> GuestFault {
    GuestFault::new(
        FaultKind::ReadLimit,
        format!(
            "the documents of the stage exceed {MAX_DOCUMENT_BYTES} bytes: use a carry, or read less"
        ),
    )
}
