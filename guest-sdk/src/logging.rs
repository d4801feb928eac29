//! The call's log: the one call out of a processor. In a native build lines are kept for the test.

use greenroom_model::Level;

/// One line of the log of a native call.
#[cfg_attr(
    target_arch = "wasm32",
    expect(unreachable_pub, reason = "only native tests hand lines out")
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Seriousness.
    pub level: Level,
    /// The text.
    pub message: String,
}

/// Where [`crate::Context::log`] writes.
#[derive(Debug, Default)]
pub(crate) struct Log {
    #[cfg(not(target_arch = "wasm32"))]
    lines: std::cell::RefCell<Vec<LogLine>>,
}

#[cfg(target_arch = "wasm32")]
impl Log {
    #[expect(clippy::unused_self, reason = "the native log keeps its lines")]
    pub(crate) fn write(&self, level: Level, message: &str) {
        use crate::bindings::greenroom::processor::log;
        log::log(crate::emitter::from_level(level), message, &[]);
    }

    #[expect(clippy::unused_self, reason = "the native log keeps its lines")]
    pub(crate) fn into_lines(self) -> Vec<LogLine> {
        Vec::new()
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Log {
    pub(crate) fn write(&self, level: Level, message: &str) {
        self.lines.borrow_mut().push(LogLine {
            level,
            message: message.to_owned(),
        });
    }

    pub(crate) fn into_lines(self) -> Vec<LogLine> {
        self.lines.into_inner()
    }
}
