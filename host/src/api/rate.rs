//! How often a tenant may do what costs the host much (a20, q03): a bucket for each tenant and deed, full at first and filled
//! evenly.
//!
//! Counted by this process: several API processes allow as many times as much, which is what they can bear. A bucket that is
//! full again is forgotten, so that the map is bounded by what was done in the last minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use greenroom_model::{Clock, TenantId};

use super::error::ApiError;

const MINUTE_MS: i64 = 60_000;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limited {
    /// Uploading a revision.
    Uploads,
    /// Activating one, or rolling back.
    Activations,
}

impl Limited {
    fn name(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Activations => "activations",
        }
    }
}

/// Milliseconds in which a bucket of `per_minute` wins one; zero where that is no limit.
fn one_of(per_minute: u64) -> i64 {
    i64::try_from(per_minute.max(1)).map_or(0, |number| MINUTE_MS / number)
}

/// The buckets of all tenants.
#[derive(Default)]
pub(crate) struct Rates {
    /// When each bucket will be full again, in milliseconds.
    full_at: Mutex<HashMap<(TenantId, Limited), i64>>,
}

impl Rates {
    /// How many buckets are not full, and their bytes.
    pub(crate) fn held(&self) -> (usize, usize) {
        let buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let one = size_of::<((TenantId, Limited), i64)>();
        (buckets.len(), buckets.len() * one)
    }

    /// Forgets buckets that are full again; called on a schedule.
    pub(crate) fn sweep(&self, clock: &dyn Clock) {
        let now = clock.now().0;
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|_, full_at| *full_at > now);
    }

    /// Takes one from a tenant's bucket of `per_minute`.
    pub(crate) fn take(
        &self,
        tenant: TenantId,
        what: Limited,
        per_minute: u64,
        clock: &dyn Clock,
    ) -> Result<(), ApiError> {
        let now = clock.now().0;
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        // None needs longer than a minute, unless the clock was set back (s09).
        buckets.retain(|_, full_at| (now + 1..=now + MINUTE_MS).contains(full_at));
        let one = one_of(per_minute);
        let full_at = buckets.get(&(tenant, what)).copied().unwrap_or(now) + one;
        let most = if per_minute == 0 { 0 } else { MINUTE_MS };
        let wait = full_at - now - most;
        if wait > 0 {
            let seconds = u32::try_from(wait / 1000 + 1).unwrap_or(u32::MAX);
            let what = what.name();
            let message = format!(
                "at most {per_minute} {what} of a tenant in a minute; try again in {seconds} s"
            );
            return Err(ApiError::too_many(message).after(seconds));
        }
        buckets.insert((tenant, what), full_at);
        Ok(())
    }

    /// How much of a tenant's bucket of `per_minute` is used now.
    pub(crate) fn used(
        &self,
        tenant: TenantId,
        what: Limited,
        per_minute: u64,
        clock: &dyn Clock,
    ) -> u64 {
        let now = clock.now().0;
        let buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.get(&(tenant, what)).copied().unwrap_or(now);
        let one = one_of(per_minute).max(1);
        u64::try_from((full_at - now + one - 1) / one).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_storage::conformance::TestClock;

    #[test]
    fn a_bucket_empties_fills_evenly_and_is_a_tenants_own() {
        let (rates, clock) = (Rates::default(), TestClock::new());
        let take = |tenant, what| rates.take(TenantId(tenant), what, 60, &clock).is_ok();
        let taken = (0..100).filter(|_| take(1, Limited::Uploads)).count();
        assert_eq!(taken, 60);
        assert!(take(2, Limited::Uploads) && take(1, Limited::Activations));
        clock.advance(1_000);
        assert!(take(1, Limited::Uploads) && !take(1, Limited::Uploads));
        clock.advance(3_600_000);
        let taken = (0..100).filter(|_| take(1, Limited::Uploads)).count();
        assert_eq!(taken, 60, "nobody saves up");
        assert_eq!(
            rates.full_at.lock().unwrap().len(),
            1,
            "full ones are forgotten"
        );
        let used = |tenant| rates.used(TenantId(tenant), Limited::Uploads, 60, &clock);
        assert_eq!((used(1), used(2)), (60, 0));
        let most = rates.take(TenantId(4), Limited::Uploads, u64::MAX, &clock);
        assert!(most.is_ok(), "the largest number is no limit");
        rates.sweep(&clock);
        clock.advance(60_000);
        rates.sweep(&clock);
        assert_eq!(rates.held(), (0, 0), "without being touched");
        let none = rates.take(TenantId(3), Limited::Uploads, 0, &clock);
        assert!(none.is_err(), "0 means none");
    }

    #[test]
    fn s09_a_clock_that_is_set_back_makes_nobody_wait_for_it() {
        let (rates, clock) = (Rates::default(), TestClock::new());
        let take = || rates.take(TenantId(1), Limited::Uploads, 60, &clock);
        while take().is_ok() {}
        clock.advance(-3_600_000);
        take().unwrap();
    }
}
