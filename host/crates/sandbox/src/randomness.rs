//! All the randomness a guest gets: bytes that follow from the call's seed and nothing else (c13).
//!
//! SHA-256 in counter mode over (label, seed, counter). Not predictable without the seed, which the
//! caller derives from a secret of the tenant, and the same whenever the call is made again.

use sha2::{Digest as _, Sha256};

/// Most bytes handed out at once.
pub(crate) const MAX_BYTES: u64 = 64 * 1024;

/// A stream of bytes.
#[derive(Debug)]
pub(crate) struct Randomness {
    seed: [u8; 32],
    counter: u64,
}

impl Randomness {
    pub(crate) fn new(seed: [u8; 32]) -> Randomness {
        Randomness { seed, counter: 0 }
    }

    /// The next `len` bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 32);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.block());
        }
        bytes.truncate(len);
        bytes
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> u64 {
        let block = self.block();
        u64::from_le_bytes(block[..8].try_into().expect("a block has 32 bytes"))
    }

    /// A number for hash maps: the same throughout the call.
    pub(crate) fn hash_seed(&self) -> (u64, u64) {
        let block = self.block_of(b"hash-seed", 0);
        let half = |from: usize| {
            u64::from_le_bytes(
                block[from..from + 8]
                    .try_into()
                    .expect("a block has 32 bytes"),
            )
        };
        (half(0), half(8))
    }

    fn block(&mut self) -> [u8; 32] {
        let block = self.block_of(b"stream", self.counter);
        self.counter += 1;
        block
    }

    fn block_of(&self, label: &[u8], counter: u64) -> [u8; 32] {
        Sha256::new()
            .chain_update([u8::try_from(label.len()).unwrap_or(u8::MAX)])
            .chain_update(label)
            .chain_update(self.seed)
            .chain_update(counter.to_le_bytes())
            .finalize()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c13_the_same_seed_gives_the_same_bytes() {
        let bytes = |seed: u8| Randomness::new([seed; 32]).bytes(100);
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
        let mut stream = Randomness::new([1; 32]);
        assert_ne!(stream.bytes(32), stream.bytes(32));
    }
}
