//! Line programs made by hand, whole, cut and changed.

use super::*;

/// A unit of DWARF 4 with one sequence: line 7 of `src/a.rs` from 0x10, line 9 from 0x14 to 0x20.
fn unit_4() -> Vec<u8> {
    let mut header = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
    header.extend(b"src\0\0a.rs\0\x01\0\0\0");
    let mut program = vec![0, 5, 2, 0x10, 0, 0, 0];
    // Line + 6, row; line + 2 and address + 4 as a special opcode; address + 12, end.
    program.extend([3, 6, 1, 13 + 4 * 14 + 7, 2, 12, 0, 1, 1]);
    let mut unit = vec![4, 0];
    unit.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
    unit.extend(header);
    unit.extend(program);
    framed(unit)
}

/// A unit of DWARF 5 with files given by offsets into `.debug_line_str`.
fn unit_5(count: u8, form: u8) -> Vec<u8> {
    let mut header = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
    header.extend([1, 1, 0x1f, 2]);
    header.extend([0, 0, 0, 0, 5, 0, 0, 0]);
    header.extend([2, 1, form, 2, 0x0b, count]);
    header.extend([9, 0, 0, 0, 1]);
    let mut program = vec![4, 0, 0, 5, 2, 1, 0, 0, 0];
    program.extend([3, 41, 1, 2, 3, 0, 1, 1]);
    let mut unit = vec![5, 0, 4, 0];
    unit.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
    unit.extend(header);
    unit.extend(program);
    framed(unit)
}

const STRINGS: Strings<'static> = Strings {
    line_str: b"/abs\0src\0b.rs\0",
    str: b"",
};

fn framed(unit: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(unit.len()).unwrap();
    [length.to_le_bytes().to_vec(), unit].concat()
}

fn row(address: u32, file: u32, line: u32) -> Row {
    Row {
        address,
        file,
        line,
    }
}

#[test]
fn rows_of_both_layouts_are_read_in_order() {
    let mut lines = Lines::default();
    let section = [unit_4(), unit_5(1, 0x1f)].concat();
    let rows = lines.read(&section, STRINGS, 0x20);
    let expected = [
        row(1, 1, 42),
        row(4, 1, 0),
        row(0x10, 0, 7),
        row(0x14, 0, 9),
        row(0x20, 0, 0),
    ];
    assert_eq!(rows, expected);
    assert_eq!(lines.files, ["src/a.rs", "src/b.rs"]);
}

#[test]
fn what_lies_outside_the_code_or_at_address_0_is_left_out() {
    let mut lines = Lines::default();
    assert_eq!(lines.read(&unit_4(), STRINGS, 0x1f), []);
    let mut removed = unit_4();
    let at = removed.windows(3).position(|bytes| bytes == [5, 2, 0x10]);
    removed[at.unwrap() + 2] = 0;
    assert_eq!(lines.read(&removed, STRINGS, 0x20), []);
}

#[test]
fn a08_counts_that_the_bytes_do_not_pay_for_end_the_unit() {
    let mut lines = Lines::default();
    // `flag_present` takes no bytes: with it, a count is free.
    for (count, form) in [(255, 0x1f), (255, 0x19), (1, 0x19)] {
        assert_eq!(lines.read(&unit_5(count, form), STRINGS, 0x20), []);
    }
    // Ten million rows for ten megabytes.
    let mut unit = unit_4();
    let end = unit.len() - 3;
    unit.splice(end..end, std::iter::repeat_n(1, 10 << 20));
    let length = u32::try_from(unit.len() - 4).unwrap().to_le_bytes();
    unit[..4].copy_from_slice(&length);
    assert!(lines.read(&unit, STRINGS, u32::MAX).len() <= MAX_ROWS);
}

#[test]
fn a05_cut_and_changed_sections_are_read_without_a_panic() {
    let section = [unit_4(), unit_5(1, 0x1f)].concat();
    for index in 0..section.len() {
        let mut lines = Lines::default();
        lines.read(&section[..index], STRINGS, 0x20);
        for change in [0x01, 0x80, 0xff] {
            let mut changed = section.clone();
            changed[index] ^= change;
            let rows = lines.read(&changed, STRINGS, 0x20);
            assert!(rows.is_sorted_by_key(|row| row.address));
        }
    }
}

#[test]
fn a18_paths_are_escaped_and_cut() {
    let mut unit = unit_4();
    let at = unit.windows(3).position(|bytes| bytes == b"src").unwrap();
    unit[at] = 0x1b;
    let mut lines = Lines::default();
    lines.read(&unit, STRINGS, 0x20);
    assert_eq!(lines.files, ["\\u{1b}rc/a.rs"]);
}
