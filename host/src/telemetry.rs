//! Logs: structured JSON, or readable lines on a terminal; always on standard error, because a worker's standard output
//! is its pipe. What cannot be written there is lost and nothing else: a log on a full disk ends no process.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Installs the subscriber of the process. `filter` is `GREENROOM_LOG`, `info` if absent or wrong.
pub fn init(filter: Option<&str>) {
    let filter = filter
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would say so on standard error, and panic where that is what cannot be written.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
}
