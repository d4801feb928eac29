//! What runs and calls are counted as (DESIGN §8): Backstage's figures over all, and ours by tenant and processor.

use std::time::Instant;

use greenroom_model::Clock;
use greenroom_processing::Ran;
use greenroom_storage::{Claimed, RunRecord, RunResult};

use crate::metrics::Metric;
use crate::supervisor::Pulse;

/// A run that is being counted.
pub(crate) struct RunCount<'a> {
    pulse: &'a Pulse,
    began: Instant,
}

impl<'a> RunCount<'a> {
    /// A run begins, of what was due some time ago.
    pub(crate) fn begin(pulse: &'a Pulse, claimed: &Claimed, clock: &dyn Clock) -> Self {
        let late_ms = clock.now().0.saturating_sub(claimed.due_at.0).max(0);
        let sheet = pulse.sheet();
        sheet.observe(Metric::ProcessingQueueDelay, &[], late_ms as f64 / 1e3);
        Self {
            pulse,
            began: Instant::now(),
        }
    }

    /// It ended without a result, through us.
    pub(crate) fn failed(self) {
        let sheet = self.pulse.sheet();
        sheet.add(Metric::Runs, &["failed"], 1.0);
        sheet.add(Metric::ProcessedEntities, &["failed"], 1.0);
    }

    /// It ended.
    pub(crate) fn ended(self, ran: &Ran, tenant: &str) {
        // Calls first: who sees the run sees its calls.
        self.calls(ran, tenant);
        let result = match ran.record.result {
            RunResult::Skipped { .. } => "unchanged",
            RunResult::Succeeded(_) => "changed",
            RunResult::Rejected(_) | RunResult::Waiting { .. } => "errors",
        };
        let made = match result {
            "unchanged" => "skipped",
            _ => "made",
        };
        let sheet = self.pulse.sheet();
        let seconds = self.began.elapsed().as_secs_f64();
        sheet.observe(Metric::ProcessingDuration, &[result], seconds);
        sheet.add(Metric::ProcessedEntities, &[result], 1.0);
        sheet.add(Metric::Runs, &[made], 1.0);
    }

    fn calls(&self, ran: &Ran, tenant: &str) {
        let sheet = self.pulse.sheet();
        let mut cpu_us = 0;
        for (processor, cost) in &ran.called {
            let of = [tenant, processor.as_str()];
            let faults = faults(&ran.record, processor.as_str());
            let answered = cost.calls.saturating_sub(faults.len() as u64);
            if answered > 0 {
                let labels = [tenant, processor.as_str(), "answered"];
                sheet.add(Metric::Calls, &labels, answered as f64);
            }
            for fault in faults {
                sheet.add(Metric::Calls, &[tenant, processor.as_str(), fault], 1.0);
            }
            sheet.add(Metric::CallCpu, &of, cost.cpu_us as f64 / 1e6);
            sheet.add(Metric::CallFuel, &of, cost.fuel as f64);
            sheet.raise(Metric::CallPeakMemory, &of, cost.peak_memory_bytes as f64);
            cpu_us += cost.cpu_us;
        }
        if !ran.called.is_empty() {
            let result = match ran.record.faults.is_empty() {
                true => "ok",
                false => "failed",
            };
            sheet.observe(Metric::ProcessorsDuration, &[result], cpu_us as f64 / 1e6);
        }
    }
}

/// The faults of a processor in a run, by name.
fn faults<'r>(record: &'r RunRecord, processor: &str) -> Vec<&'r str> {
    record
        .faults
        .iter()
        .filter(|fault| fault.processor.as_str() == processor)
        .map(|fault| fault.fault.as_str())
        .collect()
}
