//! When a read is looked at again: each has its own next time in 100–150 s, drawn anew each time, as Backstage draws its
//! processing interval (ref §5.1), so that reads made together do not stay together.

use greenroom_model::{Digest, Timestamp};

/// Shortest interval in milliseconds.
const LEAST_MS: i64 = 100_000;
/// What is drawn on top of it.
const SPREAD_MS: u64 = 50_000;

/// An interval of 100–150 s in milliseconds. Drawn from the read's name and the time, so that it differs each time and
/// a test with its own clock can foresee it.
pub fn jittered_interval_ms(want: &str, now: Timestamp) -> i64 {
    let digest = Digest::of_parts([want.as_bytes(), &now.0.to_le_bytes()]);
    let drawn = digest
        .as_bytes()
        .iter()
        .take(8)
        .fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
    LEAST_MS + i64::try_from(drawn % SPREAD_MS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_backstages_interval_and_moves() {
        let drawn: Vec<i64> = (0..100)
            .map(|at| jittered_interval_ms("get x", Timestamp(at * 1000)))
            .collect();
        assert!(drawn.iter().all(|ms| (100_000..150_000).contains(ms)));
        assert!(
            drawn
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len()
                > 90
        );
    }
}
