//! Makes inputs from seeds, the same ones from the same number: flips, cuts, repeats, joins and inserts words that parsers
//! care about. No coverage guides it; that is what `cargo fuzz` is for.

/// Longest input it makes, in bytes.
pub const MAX_BYTES: usize = 128 * 1024;

/// A small generator of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, or 0 for 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % (limit.max(1) as u64)) as usize
    }

    fn choice<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// Words inserted anywhere.
const WORDS: [&[u8]; 44] = [
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\n",
    b"\r",
    b"\t",
    b" ",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"/",
    b"..",
    b"%00",
    b"#",
    b"?",
    b"=",
    b"&",
    b"*a",
    b"&a ",
    b"<<: ",
    b"---\n",
    b"...\n",
    b"- ",
    b"!!binary ",
    b"|+\n",
    b"null",
    b"1e400",
    b"-0",
    b"99999999999999999999",
    b"$not",
    b"$any",
    b"$exists",
    b"\xff\xff\xff\xff\x0f",
    b"\0asm",
];

/// The input number `number`, made from `seeds`.
#[must_use]
pub fn mutated(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    let mut bytes = match seeds.len() {
        0 => Vec::new(),
        count => seeds[random.below(count)].clone(),
    };
    for _ in 0..=random.below(6) {
        change(&mut bytes, seeds, &mut random);
    }
    bytes.truncate(
        MAX_BYTES.max(
            bytes
                .len()
                .min(seeds.iter().map(Vec::len).max().unwrap_or(0)),
        ),
    );
    bytes
}

/// The input number `number`, made from the largest of `seeds` by changing one to four of its bytes. For formats in which
/// nearly every cut is refused at once.
#[must_use]
pub fn touched(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    let mut bytes = seeds
        .iter()
        .max_by_key(|seed| seed.len())
        .cloned()
        .unwrap_or_default();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = match random.below(3) {
                0 => byte.wrapping_add(1),
                1 => *byte ^ (1 << random.below(8)),
                _ => random.number() as u8,
            };
        }
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(16)).min(bytes.len());
    match random.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.number() as u8,
        2 if at < end => {
            bytes.drain(at..end);
        }
        3 => {
            let word = random.choice(&WORDS);
            bytes.splice(at..at, word.iter().copied());
        }
        4 if at < end => {
            let piece = bytes[at..end].to_vec();
            let times = 1 << random.below(12);
            bytes.splice(at..at, piece.repeat(times).into_iter().take(MAX_BYTES));
        }
        5 => bytes.truncate(at),
        6 if !seeds.is_empty() => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        7 if at < end => {
            let to = random.below(bytes.len());
            let piece = bytes[at..end].to_vec();
            bytes.splice(to..to, piece);
        }
        _ => {
            for place in bytes.iter_mut().skip(at).take(4) {
                *place = random.number() as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_input() {
        let seeds = [
            b"component:default/web".to_vec(),
            br#"{"kind":"Component","metadata":{"name":"web"}}"#.to_vec(),
        ];
        for number in 0..1000 {
            let input = mutated(&seeds, number);
            assert_eq!(input, mutated(&seeds, number));
            assert!(input.len() <= MAX_BYTES);
        }
        let different: std::collections::HashSet<_> =
            (0..1000).map(|n| mutated(&seeds, n)).collect();
        assert!(different.len() > 800);
    }
}
