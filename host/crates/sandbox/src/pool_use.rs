//! What calls hold of the pool at this moment, for a gauge and for tests that ask whether anything was left behind.

/// What is in use now. All 0 when no call runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    /// Calls that have a slot.
    pub calls: u64,
    /// Component instances.
    pub component_instances: u64,
    /// Core instances.
    pub core_instances: u64,
    /// Linear memories.
    pub memories: u64,
    /// Tables.
    pub tables: u64,
}
