//! Charges memory and tables to the call, summed over all of them, and remembers a refusal.
//!
//! Wasmtime's own limit is per memory and a component may have several. A refused growth reaches the
//! guest as −1 and us only as whatever it dies of afterwards, hence the record: with it, that death
//! is `memory-limit` (c03). What the pool or the system could not give is kept apart, because that
//! is never the guest's fault.

use wasmtime::{ResourceLimiter, Result};

use crate::engine::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLES};

/// What a call holds and may hold.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_left: u64,
    table_left: u64,
    memory_held: u64,
    refusal: Option<Refusal>,
    system_refused: bool,
}

/// Growth that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Linear memory: bytes held and bytes that would have been held.
    Memory { held: u64, asked: u64 },
    /// Table elements asked for beside those held.
    Table { asked: u64 },
}

impl Limiter {
    pub(crate) fn new(memory_bytes: u64, table_elements: u64) -> Limiter {
        Limiter {
            memory_left: memory_bytes,
            table_left: table_elements,
            memory_held: 0,
            refusal: None,
            system_refused: false,
        }
    }

    /// Most memory held at once. Wasm memory never shrinks, so that is all that was granted.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        self.memory_held
    }

    /// The last refusal, if there was one.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Whether the system, and not the limit, refused memory.
    pub(crate) fn system_refused(&self) -> bool {
        self.system_refused
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        if more > self.memory_left {
            self.refusal = Some(Refusal::Memory {
                held: self.memory_held,
                asked: self.memory_held.saturating_add(more),
            });
            return Ok(false);
        }
        self.memory_left -= more;
        self.memory_held += more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        if error.downcast_ref::<std::io::Error>().is_some() {
            self.system_refused = true;
        }
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        if more > self.table_left {
            self.refusal = Some(Refusal::Table { asked: more });
            return Ok(false);
        }
        self.table_left -= more;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES as usize
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES as usize
    }

    fn tables(&self) -> usize {
        MAX_TABLES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c03_the_sum_counts_and_exactly_the_limit_is_allowed() {
        let mut limiter = Limiter::new(3 << 16, 10);
        assert!(limiter.memory_growing(0, 1 << 16, None).unwrap());
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
        assert_eq!(limiter.refusal(), None);
        assert!(!limiter.memory_growing(1 << 16, 2 << 16, None).unwrap());
        let refusal = Refusal::Memory {
            held: 3 << 16,
            asked: 4 << 16,
        };
        assert_eq!(limiter.refusal(), Some(refusal));
        assert_eq!(limiter.peak_memory_bytes(), 3 << 16);
    }

    #[test]
    fn c03_tables_likewise() {
        let mut limiter = Limiter::new(0, 10);
        assert!(limiter.table_growing(0, 4, None).unwrap());
        assert!(limiter.table_growing(0, 6, None).unwrap());
        assert!(!limiter.table_growing(6, 7, None).unwrap());
        assert_eq!(limiter.refusal(), Some(Refusal::Table { asked: 1 }));
    }
}
