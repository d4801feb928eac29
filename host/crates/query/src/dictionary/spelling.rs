//! How a value was written, told as a difference from its lower-cased form.
//!
//! Titles and descriptions differ from their lower-cased text by a few ASCII capitals. Keeping them
//! twice would be the largest part of an index, so a spelling is a mask of capitals, seven to a
//! byte of ASCII (the arena holds text), wherever lower-casing was ASCII's; else it is kept whole.

const PER_BYTE: usize = 7;

/// Which bytes of the value are capitals in the original; `None` if that is not all that differs.
pub(super) fn capitals(value: &str, original: &str) -> Option<String> {
    let lowered = original.bytes().map(|byte| byte.to_ascii_lowercase());
    if value.len() != original.len() || !lowered.eq(value.bytes()) {
        return None;
    }
    let bytes = original.as_bytes().chunks(PER_BYTE);
    let mask = bytes.map(|chunk| {
        let bits = chunk.iter().rev();
        let bits = bits.fold(0u8, |bits, byte| {
            bits << 1 | u8::from(byte.is_ascii_uppercase())
        });
        char::from(bits)
    });
    Some(mask.collect())
}

/// The original of a value and its mask.
pub(super) fn spelled(value: &str, mask: &str) -> String {
    let mask = mask.as_bytes();
    let capital = |at: usize| {
        let bits = mask.get(at / PER_BYTE).copied().unwrap_or_default();
        bits >> (at % PER_BYTE) & 1 == 1
    };
    value
        .char_indices()
        .map(|(at, char)| {
            if capital(at) {
                char.to_ascii_uppercase()
            } else {
                char
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_told_and_put_back() {
        for original in [
            "Java",
            "The Payments API, v2",
            "ALLCAPITALSALLCAPITALS",
            "é Ab ü C",
            "",
            "plain",
        ] {
            let value = original.to_lowercase();
            let mask = capitals(&value, original).unwrap();
            assert!(mask.is_ascii() && mask.len() <= original.len() / 7 + 1);
            assert_eq!(spelled(&value, &mask), original);
        }
    }

    #[test]
    fn other_differences_are_not_a_mask() {
        for original in ["É", "\u{212a}", "\u{130}", "ΟΔΟΣ"] {
            assert_eq!(capitals(&original.to_lowercase(), original), None);
        }
    }
}
