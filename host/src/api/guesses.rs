//! Wrong tokens: how often an address may send one, and how often one id may be sent with a wrong secret (i07).
//!
//! A bucket for each, full at first and filled evenly; one that is empty answers 429, before storage is asked. Secrets have 256
//! random bits, so what is protected is the work and not the secret. Nobody is locked out by others behind the same address:
//! who was let in with a token from an address in the last ten minutes is let in again whatever was guessed. Ids that are
//! there and ids that are not are counted alike. An address is that of the connection, of IPv6 its network of 64 bits.
//!
//! Counted by this process. Both maps hold a bounded number and begin anew beyond it, as the caches of tokens do; whoever wants
//! that must be wrong ten thousand times from hundreds of addresses first.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use greenroom_model::Clock;

use super::error::ApiError;

/// Wrong tokens that an address may send at once, and milliseconds until it may send one more.
const OF_ADDRESS: (i64, i64) = (60, 1_000);
/// The same of an id.
const OF_ID: (i64, i64) = (20, 3_000);
/// For how long somebody who was let in is known.
const GOOD_MS: i64 = 600_000;
/// Most entries of each map.
const MAX_KEPT: usize = 10_000;

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Address(Option<IpAddr>);

impl Address {
    /// The address in a text; all that is none is one.
    pub(crate) fn of(remote: &str) -> Self {
        Self(remote.parse().ok().map(|address: IpAddr| match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(six) => {
                let network = u128::from(six) & (u128::MAX << 64);
                six.to_ipv4_mapped()
                    .map_or(Ipv6Addr::from(network).into(), IpAddr::V4)
            }
        }))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Suspect {
    Address(Address),
    Id(String),
}

impl Suspect {
    /// How many may be wrong at once, and milliseconds until one more.
    fn bucket(&self) -> (i64, i64) {
        match self {
            Self::Address(_) => OF_ADDRESS,
            Self::Id(_) => OF_ID,
        }
    }

    /// Whether a bucket that is full then is not full now. None needs longer than from empty, unless the clock was set back
    /// (s09).
    fn may_wait(&self, full_at: i64, now: i64) -> bool {
        let (most, each) = self.bucket();
        (now + 1..=now + most * each).contains(&full_at)
    }
}

#[derive(Default)]
struct Kept {
    /// When each bucket is full again, in milliseconds.
    full_at: HashMap<Suspect, i64>,
    /// Until when somebody is known, by id and address.
    good_until: HashMap<(String, Address), i64>,
}

/// What was wrong, and who was let in.
#[derive(Default)]
pub(crate) struct Guesses {
    kept: Mutex<Kept>,
}

impl Guesses {
    /// Whether a token with this id may be looked at.
    pub(crate) fn may_try(
        &self,
        id: &str,
        address: Address,
        clock: &dyn Clock,
    ) -> Result<(), ApiError> {
        let now = clock.now().0;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.wait(id, address, now) {
            wait if wait > 0 && !kept.is_good(id, address, now) => Err(too_many(wait)),
            _ => Ok(()),
        }
    }

    /// Counts a token that was wrong. Who was let in before may be wrong beyond an empty bucket, and is told so.
    pub(crate) fn wrong(
        &self,
        id: &str,
        address: Address,
        clock: &dyn Clock,
    ) -> Result<(), ApiError> {
        let now = clock.now().0;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = kept.wait(id, address, now);
        if wait > 0 {
            return Err(too_many(wait));
        }
        kept.full_at
            .retain(|suspect, full_at| suspect.may_wait(*full_at, now));
        if kept.full_at.len() >= MAX_KEPT {
            kept.full_at.clear();
        }
        for suspect in [Suspect::Address(address), Suspect::Id(id.to_owned())] {
            let (_, each) = suspect.bucket();
            *kept.full_at.entry(suspect).or_insert(now) += each;
        }
        Ok(())
    }

    /// How many entries there are, and about how many bytes they hold.
    pub(crate) fn held(&self) -> (usize, usize) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let of_suspect = |suspect: &Suspect| {
            let id = match suspect {
                Suspect::Address(_) => 0,
                Suspect::Id(id) => id.len(),
            };
            id + size_of::<(Suspect, i64)>()
        };
        let of_good =
            |(id, _): &(String, Address)| id.len() + size_of::<((String, Address), i64)>();
        let suspects: usize = kept.full_at.keys().map(of_suspect).sum();
        let good: usize = kept.good_until.keys().map(of_good).sum();
        (kept.full_at.len() + kept.good_until.len(), suspects + good)
    }

    /// Forgets what is over; called on a schedule.
    pub(crate) fn sweep(&self, clock: &dyn Clock) {
        let now = clock.now().0;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.full_at.retain(|_, full_at| *full_at > now);
        kept.good_until.retain(|_, until| *until > now);
    }

    /// A token was good.
    pub(crate) fn good(&self, id: &str, address: Address, clock: &dyn Clock) {
        let now = clock.now().0;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.good_until.len() >= MAX_KEPT {
            kept.good_until.retain(|_, until| *until > now);
            if kept.good_until.len() >= MAX_KEPT {
                kept.good_until.clear();
            }
        }
        kept.good_until
            .insert((id.to_owned(), address), now + GOOD_MS);
    }
}

fn too_many(wait: i64) -> ApiError {
    let seconds = u32::try_from(wait / 1_000 + 1).unwrap_or(u32::MAX);
    let message = format!(
        "too many wrong tokens from this address or with this id; try again in {seconds} s"
    );
    ApiError::too_many(message).after(seconds)
}

impl Kept {
    /// Milliseconds until one more may be wrong; none left to wait if not above zero.
    fn wait(&self, id: &str, address: Address, now: i64) -> i64 {
        let wait = |suspect: &Suspect| {
            let full_at = self.full_at.get(suspect).copied();
            let full_at = full_at.filter(|full_at| suspect.may_wait(*full_at, now));
            let (most, each) = suspect.bucket();
            full_at.unwrap_or(now) - now - (most - 1) * each
        };
        wait(&Suspect::Address(address)).max(wait(&Suspect::Id(id.to_owned())))
    }

    fn is_good(&self, id: &str, address: Address, now: i64) -> bool {
        let until = self.good_until.get(&(id.to_owned(), address));
        until.is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_storage::conformance::TestClock;

    struct Try {
        guesses: Guesses,
        clock: TestClock,
    }

    impl Try {
        fn new() -> Self {
            Self {
                guesses: Guesses::default(),
                clock: TestClock::new(),
            }
        }

        fn may(&self, id: &str, address: &str) -> bool {
            let address = Address::of(address);
            self.guesses.may_try(id, address, &self.clock).is_ok()
        }

        /// How many guesses are taken of so many.
        fn guess(&self, id: &dyn Fn(usize) -> String, address: &dyn Fn(usize) -> String) -> usize {
            (0..200)
                .filter(|n| {
                    let (id, address) = (id(*n), address(*n));
                    let taken = self.may(&id, &address);
                    if taken {
                        let address = Address::of(&address);
                        self.guesses.wrong(&id, address, &self.clock).unwrap();
                    }
                    taken
                })
                .count()
        }
    }

    #[test]
    fn what_is_over_goes_untouched() {
        let world = Try::new();
        let address = Address::of("192.0.2.1");
        world.guesses.wrong("id", address, &world.clock).unwrap();
        world.guesses.good("id", address, &world.clock);
        let (count, bytes) = world.guesses.held();
        assert!(count == 3 && bytes > 0, "{count} of {bytes} bytes");
        world.guesses.sweep(&world.clock);
        assert_eq!(world.guesses.held(), (3, bytes), "its time has not come");
        world.clock.advance(GOOD_MS);
        world.guesses.sweep(&world.clock);
        assert_eq!(world.guesses.held(), (0, 0));
    }

    #[test]
    fn i07_an_address_and_an_id_have_so_many_guesses() {
        let of = |text: &'static str| move |_: usize| text.to_owned();
        let one = Try::new();
        assert_eq!(one.guess(&|n| format!("id{n}"), &of("192.0.2.1")), 60);
        assert!(one.may("id", "192.0.2.2"), "another address goes on");
        one.clock.advance(2_000);
        assert_eq!(one.guess(&|n| format!("id{n}"), &of("192.0.2.1")), 2);
        one.clock.advance(3_600_000);
        assert_eq!(one.guess(&|n| format!("id{n}"), &of("192.0.2.1")), 60);

        let other = Try::new();
        let address = |n: usize| format!("192.0.2.{n}");
        assert_eq!(other.guess(&of("id"), &address), 20);
        assert!(other.may("other", "192.0.2.1"), "another id goes on");
    }

    #[test]
    fn s09_a_clock_that_is_set_back_locks_nobody_out_for_longer() {
        let of = |text: &'static str| move |_: usize| text.to_owned();
        let one = Try::new();
        assert_eq!(one.guess(&of("id"), &of("192.0.2.1")), 20);
        one.clock.advance(-3_600_000);
        assert!(one.may("id", "192.0.2.1"));
        assert_eq!(one.guess(&of("id"), &of("192.0.2.1")), 20);
    }

    #[test]
    fn i07_who_was_let_in_is_let_in_again() {
        let one = Try::new();
        one.guesses.good("id", Address::of("192.0.2.1"), &one.clock);
        let address = |_: usize| "192.0.2.1".to_owned();
        assert_eq!(one.guess(&|n| format!("x{n}"), &address), 60);
        assert!(one.may("id", "192.0.2.1") && !one.may("new", "192.0.2.1"));
        let guess = one
            .guesses
            .wrong("id", Address::of("192.0.2.1"), &one.clock);
        assert!(guess.is_err(), "with a wrong secret it is told to wait");
        one.clock.advance(500);
        assert!(!one.may("new", "192.0.2.1"));
        one.clock.advance(GOOD_MS);
        assert_eq!(one.guess(&|n| format!("x{n}"), &address), 60);
        assert!(!one.may("id", "192.0.2.1"), "ten minutes later it is new");
    }

    #[test]
    fn i07_a_network_of_ipv6_is_one_address() {
        let one = Try::new();
        let address = |n: usize| format!("2001:db8:0:1::{n:x}");
        assert_eq!(one.guess(&|n| format!("x{n}"), &address), 60);
        assert!(one.may("x", "2001:db8:0:2::1"));
        assert_eq!(Address::of("::ffff:192.0.2.1"), Address::of("192.0.2.1"));
    }

    #[test]
    fn i07_what_is_kept_is_bounded() {
        let one = Try::new();
        for n in 0..3 * MAX_KEPT {
            let address = Address::of(&format!("2001:db8:{:x}:{:x}::1", n / 60_000, n % 60_000));
            one.guesses
                .wrong(&format!("{n}"), address, &one.clock)
                .unwrap();
            one.guesses.good("id", address, &one.clock);
        }
        let kept = one.guesses.kept.lock().unwrap();
        assert!(kept.full_at.len() <= MAX_KEPT + 2 && kept.good_until.len() <= MAX_KEPT);
    }
}
