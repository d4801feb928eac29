//! What the system says of our processes: resident memory, the room that is left, the size of SQLite's write-ahead log.

use std::sync::Arc;

use super::data_dir::DataDir;
use crate::metrics::{Metric, Sheet};

/// Resident memory of a process; none where it is gone.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "commands ask the system; no path of ours"
    )]
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Shows the memory of this process whenever somebody looks.
pub(super) fn show_memory(sheet: &Sheet, process: &'static str) {
    sheet.measure(move |sheet| {
        if let Some(bytes) = resident_bytes(std::process::id()) {
            sheet.set(Metric::ResidentMemory, &[process], bytes as f64);
        }
    });
}

/// Shows the room that is left where the data directory is, and the size of SQLite's log if there is one.
pub(super) fn show_disk(sheet: &Sheet, process: &'static str, data: &Arc<DataDir>) {
    let data = Arc::clone(data);
    sheet.measure(move |sheet| {
        if let Some(bytes) = data.free_bytes() {
            sheet.set(Metric::DiskFree, &[process], bytes as f64);
        }
        if let Some(bytes) = data.wal_bytes() {
            sheet.set(Metric::WalBytes, &[], bytes as f64);
        }
    });
}
