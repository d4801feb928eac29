//! The code of an artifact as it is kept: what the engine compiled, the table of lines behind it, and
//! the length of that table as 4 bytes little-endian. The two are made together, sealed together and
//! handed over together, so that no backtrace can meet another revision's lines.

use crate::line_table::LineTable;

/// Code and lines in one piece.
pub(crate) fn pack(mut code: Vec<u8>, lines: &LineTable) -> Vec<u8> {
    let lines = lines.to_bytes();
    let length = u32::try_from(lines.len()).unwrap_or(0);
    if length > 0 {
        code.extend_from_slice(&lines);
    }
    code.extend_from_slice(&length.to_le_bytes());
    code
}

/// The two of [`pack`]; nothing at all for what is too short to be that. A table that cannot be read
/// is empty, since nothing but a backtrace depends on it.
pub(crate) fn unpack(packed: &[u8]) -> (&[u8], LineTable) {
    let split = || {
        let (rest, length) = packed.split_last_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        rest.split_at_checked(rest.len().checked_sub(length)?)
    };
    let (code, lines) = split().unwrap_or_default();
    (code, LineTable::from_bytes(lines).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_round_trips_and_short_pieces_are_nothing() {
        let packed = pack(vec![1, 2, 3], &LineTable::default());
        assert_eq!(unpack(&packed), (&[1, 2, 3][..], LineTable::default()));
        for cut in 0..packed.len() {
            let (code, _) = unpack(&packed[..cut]);
            assert!(code.len() <= 3);
        }
        assert_eq!(unpack(&[0xff; 4]).0, b"");
    }
}
