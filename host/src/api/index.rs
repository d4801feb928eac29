//! The read indexes of this process, one per active tenant (DESIGN §6).
//!
//! `set` builds, hands out and evicts them; `follow` keeps them current from the change log. An index is a copy: losing
//! one costs a rebuild and nothing else. Each has one writer at a time, its builder and then the follower.

mod follow;
mod set;

pub(crate) use follow::follow;
pub(crate) use set::{IndexSet, TenantIndex};
