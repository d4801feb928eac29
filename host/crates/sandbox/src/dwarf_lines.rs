//! Reads `.debug_line` (DWARF 2 to 5): which line of which file an instruction came from.
//!
//! The bytes are a tenant's, so the reader is written for that: every byte is looked at once,
//! nothing is followed or repeated by a count that the bytes do not pay for, and what is kept is
//! bounded ([`MAX_ROWS`], [`MAX_FILES`]). A general DWARF library reads more than is needed here and
//! trusts counts. What cannot be read is left out: lines are a service to the author, never a reason
//! to reject. Paths are as the compiler was given them, without its working directory.

use std::collections::HashMap;

use crate::printable::{NAME_CHARS, printable, start_of};

/// Rows kept of one component: 16 bytes each while they are collected. The largest of our own
/// processors has 60 000.
pub(crate) const MAX_ROWS: usize = 1 << 20;
/// Different source files kept of one component.
pub(crate) const MAX_FILES: usize = 1 << 14;

const DW_LNCT_PATH: u64 = 1;
const DW_LNCT_DIRECTORY: u64 = 2;

/// From this address on: a line of a file, or nothing where `line` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Address, as DWARF counts it: bytes from the start of the code section's contents.
    pub(crate) address: u32,
    /// Index in [`Lines::files`].
    pub(crate) file: u32,
    /// Line, from 1.
    pub(crate) line: u32,
}

/// Collects the lines of the modules of one component.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Source files, escaped.
    pub(crate) files: Vec<String>,
    indexes: HashMap<String, u32>,
    rows: usize,
}

/// The strings that line programs refer to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Strings<'a> {
    pub(crate) line_str: &'a [u8],
    pub(crate) str: &'a [u8],
}

impl Lines {
    /// The rows of one module in ascending order of addresses below `code_bytes`.
    pub(crate) fn read(&mut self, line: &[u8], strings: Strings<'_>, code_bytes: u32) -> Vec<Row> {
        let mut sequences: Vec<Vec<Row>> = Vec::new();
        let mut input = Input(line);
        while let Some((unit, wide)) = input.unit() {
            // A unit that cannot be read ends by itself; the next one begins where it says.
            if let Some(program) = Program::read(unit, wide, strings) {
                program.run(self, code_bytes, &mut sequences);
            }
        }
        sequences.sort_by_key(|sequence| sequence[0].address);
        let mut rows: Vec<Row> = Vec::new();
        for sequence in sequences {
            let overlaps = rows
                .last()
                .is_some_and(|last| last.address > sequence[0].address);
            if !overlaps {
                rows.extend(sequence);
            }
        }
        rows
    }

    fn file(&mut self, path: String) -> Option<u32> {
        if let Some(&index) = self.indexes.get(&path) {
            return Some(index);
        }
        if self.files.len() == MAX_FILES {
            return None;
        }
        let index = u32::try_from(self.files.len()).ok()?;
        self.files.push(path.clone());
        self.indexes.insert(path, index);
        Some(index)
    }
}

/// A line program with its header.
struct Program<'a> {
    version: u16,
    min_instruction: u64,
    line_base: i8,
    line_range: u8,
    opcode_base: u8,
    operands: &'a [u8],
    directories: Vec<&'a [u8]>,
    files: Vec<(&'a [u8], u64)>,
    code: Input<'a>,
}

impl<'a> Program<'a> {
    fn read(mut unit: Input<'a>, wide: bool, strings: Strings<'a>) -> Option<Program<'a>> {
        let version = unit.u16()?;
        if !(2..=5).contains(&version) {
            return None;
        }
        if version == 5 {
            let (_address_bytes, segment_bytes) = (unit.u8()?, unit.u8()?);
            if segment_bytes != 0 {
                return None;
            }
        }
        let header_bytes = unit.offset(wide)?;
        let mut header = Input(unit.take(header_bytes)?);
        let min_instruction = u64::from(header.u8()?);
        if version >= 4 {
            header.u8()?;
        }
        header.u8()?;
        let line_base = header.u8()?.cast_signed();
        let (line_range, opcode_base) = (header.u8()?, header.u8()?);
        if line_range == 0 || opcode_base == 0 {
            return None;
        }
        let operands = header.take(u64::from(opcode_base) - 1)?;
        let (directories, files) = if version == 5 {
            let directories = header.entries(wide, strings)?;
            let directories = directories.into_iter().map(|(path, _)| path).collect();
            (directories, header.entries(wide, strings)?)
        } else {
            header.tables_before_5()?
        };
        Some(Program {
            version,
            min_instruction,
            line_base,
            line_range,
            opcode_base,
            operands,
            directories,
            files,
            code: unit,
        })
    }

    /// The path of a file by the number the program has for it.
    fn path(&self, number: u64) -> Option<String> {
        // Before DWARF 5 files count from 1 and directory 0 is the working directory; in it, files
        // count from 0 and directory 0 is written out. Both are told without it.
        let index = if self.version == 5 {
            number
        } else {
            number.checked_sub(1)?
        };
        let &(name, directory) = self.files.get(usize::try_from(index).ok()?)?;
        let name = text(name);
        let directory = match (directory, self.version) {
            (0, _) => None,
            (number, 5) => Some(number),
            (number, _) => Some(number - 1),
        };
        let directory = directory.and_then(|at| self.directories.get(usize::try_from(at).ok()?));
        let path = match directory {
            Some(directory) if !name.starts_with('/') => format!("{}/{name}", text(directory)),
            _ => name,
        };
        Some(printable(&path, NAME_CHARS))
    }

    fn run(mut self, lines: &mut Lines, code_bytes: u32, sequences: &mut Vec<Vec<Row>>) {
        let mut indexes: HashMap<u64, Option<u32>> = HashMap::new();
        let mut sequence: Vec<Row> = Vec::new();
        let (mut address, mut file, mut line) = (0_u64, 1_u64, 1_u64);
        while let Some(step) = self.step(&mut address, &mut file, &mut line) {
            let ends = step == Step::End;
            if ends || step == Step::Row {
                let index = *indexes
                    .entry(file)
                    .or_insert_with(|| self.path(file).and_then(|path| lines.file(path)));
                let row = Row {
                    address: u32::try_from(address).unwrap_or(u32::MAX),
                    file: index.unwrap_or(0),
                    line: match (ends, index) {
                        (false, Some(_)) => u32::try_from(line).unwrap_or(0),
                        _ => 0,
                    },
                };
                if lines.rows + sequence.len() >= MAX_ROWS {
                    return;
                }
                sequence.push(row);
            }
            if ends {
                let kept = std::mem::take(&mut sequence);
                let ordered = kept.is_sorted_by_key(|row| row.address);
                // Address 0 and beyond the code is what linkers leave of functions they removed.
                if ordered && kept[0].address > 0 && kept[kept.len() - 1].address <= code_bytes {
                    lines.rows += kept.len();
                    sequences.push(kept);
                }
                (address, file, line) = (0, 1, 1);
            }
        }
    }

    /// Takes one instruction; none at the end, or where it cannot be read.
    fn step(&mut self, address: &mut u64, file: &mut u64, line: &mut u64) -> Option<Step> {
        let advance = |address: &mut u64, by: u64, each: u64| {
            *address = address.wrapping_add(by.wrapping_mul(each));
        };
        let each = self.min_instruction;
        let opcode = self.code.u8()?;
        if opcode >= self.opcode_base {
            let special = opcode - self.opcode_base;
            advance(address, u64::from(special / self.line_range), each);
            let by = i64::from(self.line_base) + i64::from(special % self.line_range);
            *line = line.wrapping_add_signed(by);
            return Some(Step::Row);
        }
        match opcode {
            0 => {
                let length = self.code.unsigned()?;
                let mut operand = Input(self.code.take(length)?);
                match operand.u8() {
                    Some(1) => return Some(Step::End),
                    Some(2) => *address = operand.little_endian()?,
                    _ => {}
                }
            }
            1 => return Some(Step::Row),
            2 => {
                let by = self.code.unsigned()?;
                advance(address, by, each);
            }
            3 => *line = line.wrapping_add_signed(self.code.signed()?),
            4 => *file = self.code.unsigned()?,
            8 => {
                let by = (255 - self.opcode_base) / self.line_range;
                advance(address, u64::from(by), each);
            }
            9 => *address = address.wrapping_add(u64::from(self.code.u16()?)),
            _ => {
                for _ in 0..*self.operands.get(usize::from(opcode) - 1)? {
                    self.code.unsigned()?;
                }
            }
        }
        Some(Step::None)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    None,
    Row,
    End,
}

fn text(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(4 * NAME_CHARS)];
    start_of(&String::from_utf8_lossy(shown), 4 * NAME_CHARS).to_owned()
}

/// What has not been read yet.
#[derive(Clone, Copy)]
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The next unit, and whether its offsets have 64 bits.
    fn unit(&mut self) -> Option<(Input<'a>, bool)> {
        let length = self.u32()?;
        let wide = length == u32::MAX;
        let length = if wide { self.u64()? } else { u64::from(length) };
        Some((Input(self.take(length)?), wide))
    }

    fn take(&mut self, bytes: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(bytes).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn offset(&mut self, wide: bool) -> Option<u64> {
        if wide {
            self.u64()
        } else {
            self.u32().map(u64::from)
        }
    }

    /// The rest as one number.
    fn little_endian(&mut self) -> Option<u64> {
        match self.0.len() {
            4 => self.u32().map(u64::from),
            8 => self.u64(),
            _ => None,
        }
    }

    fn unsigned(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
        }
    }

    fn signed(&mut self) -> Option<i64> {
        let (mut value, mut shift) = (0_i64, 0);
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= i64::from(byte & 0x7f) << shift;
            }
            shift += 7;
            if byte & 0x80 == 0 {
                if shift < 64 && byte & 0x40 != 0 {
                    value |= -1 << shift;
                }
                return Some(value);
            }
        }
    }

    /// A text that ends with NUL, without it.
    fn c_text(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|&byte| byte == 0)?;
        let text = self.take(length as u64)?;
        self.u8()?;
        Some(text)
    }

    /// Directories and files before DWARF 5: texts up to an empty one, then files likewise with
    /// directory, time and length.
    #[expect(
        clippy::type_complexity,
        reason = "the two tables of the header, used once"
    )]
    fn tables_before_5(&mut self) -> Option<(Vec<&'a [u8]>, Vec<(&'a [u8], u64)>)> {
        let (mut directories, mut files) = (Vec::new(), Vec::new());
        loop {
            let directory = self.c_text()?;
            if directory.is_empty() {
                break;
            }
            directories.push(directory);
        }
        loop {
            let name = self.c_text()?;
            if name.is_empty() {
                return Some((directories, files));
            }
            let directory = self.unsigned()?;
            self.unsigned()?;
            self.unsigned()?;
            files.push((name, directory));
        }
    }

    /// A table of DWARF 5: path and directory of each entry.
    fn entries(&mut self, wide: bool, strings: Strings<'a>) -> Option<Vec<(&'a [u8], u64)>> {
        let mut formats = Vec::new();
        for _ in 0..self.u8()? {
            formats.push((self.unsigned()?, self.unsigned()?));
        }
        let count = self.unsigned()?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let before = self.0.len();
            let (mut path, mut directory) = (&[][..], 0);
            for &(content, form) in &formats {
                match (content, self.form(form, wide, strings)?) {
                    (DW_LNCT_PATH, Form::Text(text)) => path = text,
                    (DW_LNCT_DIRECTORY, Form::Number(number)) => directory = number,
                    _ => {}
                }
            }
            if self.0.len() == before {
                // Entries of no bytes: their count is a lie or a bomb.
                return None;
            }
            entries.push((path, directory));
        }
        Some(entries)
    }

    fn form(&mut self, form: u64, wide: bool, strings: Strings<'a>) -> Option<Form<'a>> {
        let at = |section: &'a [u8], offset: u64| {
            let rest = section.get(usize::try_from(offset).ok()?..)?;
            Input(rest).c_text().map(Form::Text)
        };
        Some(match form {
            0x05 => Form::Number(self.u16()?.into()),
            0x06 => Form::Number(self.u32()?.into()),
            0x07 => Form::Number(self.u64()?),
            0x08 => Form::Text(self.c_text()?),
            0x09 => {
                let length = self.unsigned()?;
                self.take(length)?;
                Form::Other
            }
            0x0b => Form::Number(self.u8()?.into()),
            0x0e => at(strings.str, self.offset(wide)?)?,
            0x0f => Form::Number(self.unsigned()?),
            0x1e => {
                self.take(16)?;
                Form::Other
            }
            0x1f => at(strings.line_str, self.offset(wide)?)?,
            _ => return None,
        })
    }
}

/// A field of an entry.
enum Form<'a> {
    Text(&'a [u8]),
    Number(u64),
    Other,
}

#[cfg(test)]
#[path = "dwarf_lines/tests.rs"]
mod tests;
