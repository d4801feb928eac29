//! What each tenant may ask of a source, so that none uses up what a source grants us all (r14).
//!
//! A source limits whoever asks: an address, which all tenants share, or a credential, which one of them has. So every tenant
//! has a share of its own of each source: a burst, and so many reads a second. And when a source asks for a pause, the tenant
//! and the credential that it told pause, and nobody else. Who is over its share is told when to come again, each a little
//! later than the one before, so that a crowd does not come back as a crowd.
//!
//! Only what goes outside counts; what is stored is answered without asking anybody. A share is a worker process's: where
//! several work for a tenant, each has one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use greenroom_model::{TenantId, Timestamp};

/// Reads that a tenant may make at once of a source that it has left alone for a while.
const SOURCE_BURST: i64 = 500;
/// Reads a second after that.
const SOURCE_READS_PER_SECOND: i64 = 20;
/// Sources of a tenant that are remembered, each with a credential: those with less than a whole burst left.
const MAX_BUSY_SOURCES: usize = 1_000;
/// Wait of a tenant that keeps more sources busy than that.
const TOO_MANY_MS: i64 = 10_000;

const READ_MS: i64 = 1_000 / SOURCE_READS_PER_SECOND;

/// A source as one tenant asks it: its host, and the digest of the credential or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    /// Host name, and port where it is not the scheme's own.
    pub(crate) host: String,
    /// Names the credential.
    pub(crate) credential: String,
}

/// When to come again, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotNow {
    /// Not before.
    pub(crate) retry_at: Timestamp,
    /// For the owner of the entity that waits.
    pub(crate) reason: String,
}

/// The shares of all tenants.
#[derive(Debug, Default)]
pub(crate) struct SourceShares(Mutex<HashMap<TenantId, HashMap<Source, Share>>>);

/// What is left of one.
#[derive(Debug)]
struct Share {
    /// When it is whole again, in milliseconds; each read moves it on.
    whole_at: i64,
    /// The last time that somebody was told to come again.
    promised: i64,
    /// The pause that the source asked for.
    paused_until: i64,
}

impl SourceShares {
    /// Takes one read of a tenant's share.
    pub(crate) fn take(
        &self,
        tenant: TenantId,
        source: &Source,
        now: Timestamp,
    ) -> Result<(), NotNow> {
        let not_now = |at: i64, why: &str| NotNow {
            retry_at: Timestamp(at),
            reason: format!("{}: {why}", source.host),
        };
        let mut shares = self.lock();
        let sources = shares.entry(tenant).or_default();
        if !sources.contains_key(source) && sources.len() >= MAX_BUSY_SOURCES {
            sources.retain(|_, share| share.is_busy(now));
            if sources.len() >= MAX_BUSY_SOURCES {
                let why = "the tenant reads from too many hosts at once";
                return Err(not_now(now.0 + TOO_MANY_MS, why));
            }
        }
        let share = sources.entry(source.clone()).or_insert(Share {
            whole_at: now.0,
            promised: now.0,
            paused_until: now.0,
        });
        if share.paused_until > now.0 {
            return Err(not_now(share.paused_until, "asked for a pause"));
        }
        let whole_at = share.whole_at.max(now.0) + READ_MS;
        if whole_at > now.0 + SOURCE_BURST * READ_MS {
            share.promised = share.promised.max(now.0) + READ_MS;
            let why = format!(
                "the tenant's share of {SOURCE_READS_PER_SECOND} reads a second is used up"
            );
            return Err(not_now(share.promised, &why));
        }
        share.whole_at = whole_at;
        Ok(())
    }

    /// The source told this tenant to come again, with this credential.
    pub(crate) fn pause(&self, tenant: TenantId, source: &Source, until: Timestamp) {
        let mut shares = self.lock();
        // Whoever was told has taken a read, so it is known, or has been idle for as long as makes no difference.
        if let Some(share) = shares
            .get_mut(&tenant)
            .and_then(|sources| sources.get_mut(source))
        {
            share.paused_until = share.paused_until.max(until.0);
        }
    }

    /// Forgets what is whole again.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.lock().retain(|_, sources| {
            sources.retain(|_, share| share.is_busy(now));
            !sources.is_empty()
        });
    }

    /// How many sources are remembered, over all tenants, and about how many bytes they hold.
    pub(crate) fn held(&self) -> (usize, usize) {
        let shares = self.lock();
        let sources = || shares.values().flatten();
        let bytes = |(source, share): (&Source, &Share)| {
            size_of_val(source) + size_of_val(share) + source.host.len() + source.credential.len()
        };
        (sources().count(), sources().map(bytes).sum())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, HashMap<Source, Share>>> {
        // Each field is whole by itself, so that one left by a panic is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Whether it differs from one that was never used.
    fn is_busy(&self, now: Timestamp) -> bool {
        [self.whole_at, self.promised, self.paused_until]
            .iter()
            .any(|at| *at > now.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TenantId = TenantId(1);
    const B: TenantId = TenantId(2);

    fn source(host: &str, credential: &str) -> Source {
        Source {
            host: host.to_owned(),
            credential: credential.to_owned(),
        }
    }

    fn drained(shares: &SourceShares, tenant: TenantId, source: &Source, now: Timestamp) {
        for number in 0..SOURCE_BURST {
            assert_eq!(shares.take(tenant, source, now), Ok(()), "{number}");
        }
    }

    #[test]
    fn r14_a_drained_share_is_its_tenants_and_its_hosts_alone() {
        let (shares, now) = (SourceShares::default(), Timestamp(1_000_000));
        let host = source("source.example", "");
        drained(&shares, A, &host, now);
        for later in 1..=3 {
            let refused = shares.take(A, &host, now).unwrap_err();
            assert_eq!(refused.retry_at.0, now.0 + later * READ_MS, "{refused:?}");
            assert!(
                refused.reason.starts_with("source.example: the tenant's"),
                "{refused:?}"
            );
        }
        assert_eq!(shares.take(B, &host, now), Ok(()));
        assert_eq!(shares.take(A, &source("other.example", ""), now), Ok(()));
        // It refills at its rate, and is whole after a while.
        let later = now.plus_ms(2 * READ_MS);
        assert_eq!(shares.take(A, &host, later), Ok(()));
        assert_eq!(shares.take(A, &host, later), Ok(()));
        assert!(shares.take(A, &host, later).is_err());
        drained(
            &shares,
            A,
            &host,
            now.plus_ms((SOURCE_BURST + 10) * READ_MS),
        );
    }

    #[test]
    fn r14_a_pause_is_of_the_credential_that_was_told() {
        let (shares, now) = (SourceShares::default(), Timestamp(1_000_000));
        let told = source("source.example", "one");
        assert_eq!(shares.take(A, &told, now), Ok(()));
        shares.pause(A, &told, now.plus_ms(60_000));
        // A shorter one does not end it.
        shares.pause(A, &told, now.plus_ms(1_000));
        let paused = shares.take(A, &told, now.plus_ms(59_999)).unwrap_err();
        assert_eq!(paused.retry_at.0, now.0 + 60_000);
        assert_eq!(paused.reason, "source.example: asked for a pause");
        assert_eq!(
            shares.take(A, &source("source.example", "two"), now),
            Ok(())
        );
        assert_eq!(shares.take(B, &told, now), Ok(()));
        assert_eq!(shares.take(A, &told, now.plus_ms(60_000)), Ok(()));
    }

    #[test]
    fn r14_a_tenant_keeps_a_bounded_number_of_sources_busy() {
        let (shares, now) = (SourceShares::default(), Timestamp(1_000_000));
        let nth = |number: usize| source(&format!("{number}.example"), "");
        for number in 0..MAX_BUSY_SOURCES {
            assert_eq!(shares.take(A, &nth(number), now), Ok(()));
        }
        let refused = shares.take(A, &nth(MAX_BUSY_SOURCES), now).unwrap_err();
        assert!(refused.reason.contains("too many hosts"), "{refused:?}");
        assert_eq!(shares.take(A, &nth(0), now), Ok(()), "a known one goes on");
        assert_eq!(shares.take(B, &nth(0), now), Ok(()));
        let later = now.plus_ms(2 * READ_MS);
        assert_eq!(shares.take(A, &nth(MAX_BUSY_SOURCES), later), Ok(()));
        assert_eq!(shares.lock()[&A].len(), 1, "idle ones are forgotten");
        shares.sweep(later.plus_ms(READ_MS));
        assert!(shares.lock().is_empty());
    }

    #[test]
    fn sources_that_are_whole_again_go_untouched() {
        let (shares, now) = (SourceShares::default(), Timestamp(1_000_000));
        shares.take(A, &source("source.example", "c"), now).unwrap();
        shares.take(B, &source("source.example", ""), now).unwrap();
        let (count, bytes) = shares.held();
        assert!(count == 2 && bytes > 0);
        shares.sweep(now);
        assert_eq!(shares.held(), (2, bytes), "they are not whole yet");
        shares.sweep(now.plus_ms(READ_MS));
        assert_eq!(shares.held(), (0, 0));
    }
}
