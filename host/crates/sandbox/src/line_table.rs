//! Which source line compiled code came from, kept small beside the code.
//!
//! Made when a component is compiled, from debug sections that are not kept with the code; read when
//! a fault is described. So a fault names its file and line, and nothing that runs or serves ever
//! parses a tenant's debug sections (docs/decisions/0030-lines-beside-code.md). Rows are differences
//! in few bytes; every [`BLOCK`] rows begin anew, so that a lookup reads one block.

use crate::debug_sections::core_modules;
use crate::dwarf_lines::{Lines, Row, Strings};

/// Rows between two places where reading can begin.
const BLOCK: usize = 128;

/// Where the code of a module lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ModuleCode {
    /// In the component as it was compiled, without debug sections.
    compiled: u32,
    /// In the component as it was uploaded.
    uploaded: u32,
    bytes: u32,
}

/// The table. Addresses in it are offsets in the component that was uploaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineTable {
    modules: Vec<ModuleCode>,
    files: Vec<String>,
    rows: Vec<u8>,
    /// First address of each block and where it begins in `rows`.
    blocks: Vec<(u32, usize)>,
}

impl LineTable {
    /// The table of `uploaded`, which is compiled as `compiled`.
    pub(crate) fn new(uploaded: &[u8], compiled: &[u8]) -> LineTable {
        let mut table = LineTable::default();
        let mut lines = Lines::default();
        let mut rows = Vec::new();
        for (old, new) in core_modules(uploaded).iter().zip(core_modules(compiled)) {
            let number = |place: usize| u32::try_from(place).ok();
            let (Some(compiled), Some(uploaded), Some(bytes)) = (
                number(new.code.start),
                number(old.code.start),
                number(old.code.len()),
            ) else {
                continue;
            };
            table.modules.push(ModuleCode {
                compiled,
                uploaded,
                bytes,
            });
            let strings = Strings {
                line_str: old.line_str,
                str: old.str,
            };
            let of_module = lines.read(old.line, strings, bytes);
            rows.extend(of_module.into_iter().map(|row| Row {
                address: row.address.saturating_add(uploaded),
                ..row
            }));
        }
        table.files = lines.files;
        table.encode(&rows);
        table
    }

    /// Where `offset`, of the compiled component, lies in the uploaded one.
    pub(crate) fn uploaded_offset(&self, offset: u64) -> Option<u64> {
        let module = self.modules.iter().find(|module| {
            let start = u64::from(module.compiled);
            (start..start + u64::from(module.bytes)).contains(&offset)
        })?;
        Some(offset - u64::from(module.compiled) + u64::from(module.uploaded))
    }

    /// File and line of an offset in the uploaded component.
    pub(crate) fn line_of(&self, offset: u64) -> Option<(&str, u32)> {
        let offset = u32::try_from(offset).ok()?;
        let after = self.blocks.partition_point(|(first, _)| *first <= offset);
        let (_, at) = *self.blocks.get(after.checked_sub(1)?)?;
        let mut rest = self.rows.get(at..)?;
        let mut last = ORIGIN;
        let mut found = None;
        for _ in 0..BLOCK {
            let Some(row) = next_row(&mut rest, &mut last) else {
                break;
            };
            if row.address > offset {
                break;
            }
            found = Some(row);
        }
        let row = found.filter(|row| row.line > 0)?;
        let file = self.files.get(row.file as usize)?;
        Some((file, row.line))
    }

    /// Adds the rows, without those that say the same as the one before.
    fn encode(&mut self, rows: &[Row]) {
        let (mut last, mut in_block) = (ORIGIN, BLOCK);
        let mut said = None;
        for row in rows {
            let says = (row.line > 0).then_some((row.file, row.line));
            if said == Some(says) {
                continue;
            }
            said = Some(says);
            if in_block == BLOCK {
                self.blocks.push((row.address, self.rows.len()));
                (last, in_block) = (ORIGIN, 0);
            }
            put(&mut self.rows, u64::from(row.address - last.address));
            put_signed(&mut self.rows, i64::from(row.line) - i64::from(last.line));
            put_signed(&mut self.rows, i64::from(row.file) - i64::from(last.file));
            last = *row;
            in_block += 1;
        }
    }

    /// The table as bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.rows.len() + 1024);
        put(&mut bytes, self.modules.len() as u64);
        for module in &self.modules {
            for number in [module.compiled, module.uploaded, module.bytes] {
                put(&mut bytes, number.into());
            }
        }
        put(&mut bytes, self.files.len() as u64);
        for file in &self.files {
            put(&mut bytes, file.len() as u64);
            bytes.extend_from_slice(file.as_bytes());
        }
        bytes.extend_from_slice(&self.rows);
        bytes
    }

    /// The table of [`LineTable::to_bytes`]; none for anything else.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<LineTable> {
        let mut table = LineTable::default();
        for _ in 0..take(&mut bytes)? {
            let mut number = || u32::try_from(take(&mut bytes)?).ok();
            table.modules.push(ModuleCode {
                compiled: number()?,
                uploaded: number()?,
                bytes: number()?,
            });
        }
        for _ in 0..take(&mut bytes)? {
            let length = usize::try_from(take(&mut bytes)?).ok()?;
            let (file, rest) = bytes.split_at_checked(length)?;
            table.files.push(std::str::from_utf8(file).ok()?.to_owned());
            bytes = rest;
        }
        table.rows = bytes.to_vec();
        let (mut last, mut in_block) = (ORIGIN, BLOCK);
        while !bytes.is_empty() {
            let at = table.rows.len() - bytes.len();
            if in_block == BLOCK {
                (last, in_block) = (ORIGIN, 0);
            }
            let row = next_row(&mut bytes, &mut last)?;
            if in_block == 0 {
                table.blocks.push((row.address, at));
            }
            in_block += 1;
        }
        Some(table)
    }
}

/// What the first row of a block is told from.
const ORIGIN: Row = Row {
    address: 0,
    file: 0,
    line: 0,
};

fn next_row(bytes: &mut &[u8], last: &mut Row) -> Option<Row> {
    let address = u64::from(last.address) + take(bytes)?;
    let line = i64::from(last.line) + take_signed(bytes)?;
    let file = i64::from(last.file) + take_signed(bytes)?;
    *last = Row {
        address: u32::try_from(address).ok()?,
        file: u32::try_from(file).ok()?,
        line: u32::try_from(line).ok()?,
    };
    Some(*last)
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Small numbers of either sign in few bytes: 0, −1, 1, −2, …
fn put_signed(bytes: &mut Vec<u8>, value: i64) {
    put(bytes, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// A number below 2⁴⁰, more than any in a table.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for index in 0..6 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return (value < 1 << 40).then_some(value);
        }
    }
    None
}

fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let value = take(bytes)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[Row]) -> LineTable {
        let mut table = LineTable {
            modules: vec![ModuleCode {
                compiled: 10,
                uploaded: 100,
                bytes: 50,
            }],
            files: vec!["src/a.rs".to_owned(), "src/b.rs".to_owned()],
            ..LineTable::default()
        };
        table.encode(rows);
        table
    }

    #[test]
    fn every_row_is_found_and_survives_being_stored() {
        let rows: Vec<Row> = (0..1_000)
            .map(|index| Row {
                address: 100 + index * 3,
                file: index % 2,
                line: if index % 10 == 9 {
                    0
                } else {
                    index * 7 % 500 + 1
                },
            })
            .collect();
        let table = table(&rows);
        assert_eq!(
            LineTable::from_bytes(&table.to_bytes()),
            Some(table.clone())
        );
        assert!(table.rows.len() < 5 * rows.len());
        for row in rows {
            for offset in [row.address, row.address + 2] {
                let expected =
                    (row.line > 0).then(|| (table.files[row.file as usize].as_str(), row.line));
                assert_eq!(table.line_of(offset.into()), expected, "{offset}");
            }
        }
        assert_eq!(table.line_of(99), None);
        assert_eq!(table.line_of(u64::MAX), None);
    }

    #[test]
    fn offsets_are_told_in_the_component_that_was_uploaded() {
        let table = table(&[]);
        assert_eq!(table.uploaded_offset(10), Some(100));
        assert_eq!(table.uploaded_offset(59), Some(149));
        assert_eq!(table.uploaded_offset(60), None);
        assert_eq!(table.line_of(100), None);
    }

    #[test]
    fn s01_cut_or_changed_tables_are_refused_or_read_without_a_panic() {
        let rows = [(100, 0, 3), (104, 1, 9)].map(|(address, file, line)| Row {
            address,
            file,
            line,
        });
        let bytes = table(&rows).to_bytes();
        for index in 0..bytes.len() {
            let _ = LineTable::from_bytes(&bytes[..index]);
            for change in [0x01, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[index] ^= change;
                if let Some(table) = LineTable::from_bytes(&changed) {
                    for offset in 0..200 {
                        table.line_of(offset);
                    }
                }
            }
        }
    }
}
