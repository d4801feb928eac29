//! Takes debug sections off a component before it is compiled.
//!
//! Compiled code carries along every custom section the engine can use, and the debug sections of a
//! processor in Rust are twenty times its code: they would be kept, verified, mapped and held by
//! every process that runs it. So they are split off here, and what a backtrace needs of them goes
//! into a [`LineTable`](crate::line_table::LineTable). Names of functions stay. Code is copied byte
//! for byte, so a call takes the same fuel with them and without.

use std::borrow::Cow;
use std::ops::Range;

use wasmparser::{Encoding, Parser, Payload};

/// The eight bytes a component begins with.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// Section of a component that holds a core module.
const CORE_MODULE: u8 = 1;
/// Section of a component that holds a component.
const COMPONENT_SECTION: u8 = 4;
/// Custom section of a module.
const CUSTOM: u8 = 0;

/// A core module of a component.
#[derive(Clone, Debug, Default)]
pub(crate) struct CoreModule<'a> {
    /// Where the contents of its code section lie in the component; empty without one.
    pub(crate) code: Range<usize>,
    /// Its `.debug_line`.
    pub(crate) line: &'a [u8],
    /// Its `.debug_line_str`.
    pub(crate) line_str: &'a [u8],
    /// Its `.debug_str`.
    pub(crate) str: &'a [u8],
}

/// The component without the debug sections of its modules: what is compiled of it. Bytes that are
/// not a component, which inspection excludes, come back unchanged.
#[must_use]
pub fn without_debug_sections(component: &[u8]) -> Cow<'_, [u8]> {
    let mut shorter = Vec::with_capacity(component.len() / 4);
    match copy(component, &mut shorter) {
        Some(()) if shorter.len() < component.len() => Cow::Owned(shorter),
        _ => Cow::Borrowed(component),
    }
}

/// The core modules of a component, nested ones too, in the order of its bytes: the same modules in
/// the same order before and after [`without_debug_sections`].
pub(crate) fn core_modules(component: &[u8]) -> Vec<CoreModule<'_>> {
    let mut modules: Vec<CoreModule<'_>> = Vec::new();
    let mut inside = false;
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::Version { encoding, .. }) => {
                inside = encoding == Encoding::Module;
                if inside {
                    modules.push(CoreModule::default());
                }
            }
            Ok(Payload::End(_)) => inside = false,
            Ok(payload) if inside => {
                if let Some(module) = modules.last_mut() {
                    module.take(&payload);
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    modules
}

impl<'a> CoreModule<'a> {
    fn take(&mut self, payload: &Payload<'a>) {
        match payload {
            Payload::CodeSectionStart { range, .. } => self.code = range.clone(),
            Payload::CustomSection(section) => match section.name() {
                ".debug_line" => self.line = section.data(),
                ".debug_line_str" => self.line_str = section.data(),
                ".debug_str" => self.str = section.data(),
                _ => {}
            },
            _ => {}
        }
    }
}

/// Copies a binary, section by section. As deep as inspection lets components nest.
fn copy(binary: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let (header, mut rest) = binary.split_first_chunk::<8>()?;
    to.extend_from_slice(header);
    let in_component = *header == COMPONENT;
    while let Some((&id, after_id)) = rest.split_first() {
        let (length, after_length) = unsigned(after_id)?;
        let (content, after) = after_length.split_at_checked(length)?;
        let section = &rest[..rest.len() - after.len()];
        match id {
            CORE_MODULE | COMPONENT_SECTION if in_component => {
                let mut inner = Vec::with_capacity(content.len() / 4);
                copy(content, &mut inner)?;
                to.push(id);
                push_unsigned(to, inner.len());
                to.append(&mut inner);
            }
            CUSTOM if !in_component && is_debug(content) => {}
            _ => to.extend_from_slice(section),
        }
        rest = after;
    }
    Some(())
}

/// Whether the contents of a custom section are for debuggers, by its name.
fn is_debug(content: &[u8]) -> bool {
    let name = unsigned(content).and_then(|(length, rest)| rest.get(..length));
    name.is_some_and(|name| name.starts_with(b".debug_"))
}

/// A LEB128 number of at most 32 bits, and what follows it.
fn unsigned(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = usize::try_from(value).ok()?;
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

fn push_unsigned(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(name: &str, bytes: usize) -> Vec<u8> {
        let mut content = Vec::new();
        push_unsigned(&mut content, name.len());
        content.extend_from_slice(name.as_bytes());
        content.resize(content.len() + bytes, 7);
        section(CUSTOM, &content)
    }

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut section = vec![id];
        push_unsigned(&mut section, content.len());
        section.extend_from_slice(content);
        section
    }

    /// A function `() -> ()` with an empty body.
    fn module(extra: &[Vec<u8>]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend(section(1, &[1, 0x60, 0, 0]));
        module.extend(section(3, &[1, 0]));
        module.extend(section(10, &[1, 2, 0, 0x0b]));
        module.extend(extra.concat());
        module
    }

    #[test]
    fn only_debug_sections_of_modules_go_at_any_depth() {
        let kept = [custom("name", 3), custom("producers", 200)];
        let all = [
            custom("name", 3),
            custom(".debug_line", 5_000),
            custom(".debug_str", 200),
            custom("producers", 200),
        ];
        let component = |module: &[u8]| {
            let inner = [COMPONENT.to_vec(), section(CORE_MODULE, module)].concat();
            [
                COMPONENT.to_vec(),
                section(CORE_MODULE, module),
                section(COMPONENT_SECTION, &inner),
                custom(".debug_info", 9),
            ]
            .concat()
        };
        let before = component(&module(&all));
        let after = component(&module(&kept));
        assert_eq!(*without_debug_sections(&before), after);
        assert!(matches!(without_debug_sections(&after), Cow::Borrowed(_)));
        let (old, new) = (core_modules(&before), core_modules(&after));
        assert_eq!((old.len(), new.len()), (2, 2));
        for (old, new) in old.iter().zip(&new) {
            assert_eq!(before[old.code.clone()], after[new.code.clone()]);
            assert_eq!((old.line.len(), new.line.len()), (5_000, 0));
        }
    }

    #[test]
    fn a05_bytes_that_are_no_component_come_back_unchanged() {
        let good = [
            COMPONENT.to_vec(),
            section(CORE_MODULE, &module(&[custom(".debug_x", 9)])),
        ];
        let good = good.concat();
        for cut in 0..good.len() {
            let shorter = without_debug_sections(&good[..cut]);
            assert!(cut == 8 || shorter.len() <= cut);
            let _ = core_modules(&good[..cut]);
        }
        assert_eq!(*without_debug_sections(b"nonsense"), *b"nonsense");
    }
}
