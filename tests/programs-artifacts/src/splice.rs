//! Puts core modules of a test's own into a real component, beside those of its program: memories, tables and start functions
//! that no compiler would make, which the engine instantiates with every call; or exports beside those of its contract.

/// `component` with `module`, which must import nothing, instantiated `instances` times.
///
/// # Panics
/// If `component` is no component, or has more modules than a test's would.
#[must_use]
pub fn with_module(component: &[u8], module: &[u8], instances: u8) -> Vec<u8> {
    let index = core_modules(component);
    assert!(
        index < 128 && instances < 64,
        "numbers of one byte are enough for a test"
    );
    let mut spliced = component.to_vec();
    push_section(&mut spliced, 1, module);
    let mut list = vec![instances];
    for _ in 0..instances {
        list.extend([0x00, index, 0x00]);
    }
    push_section(&mut spliced, 2, &list);
    spliced
}

/// `component` with its first import, an instance, exported under that name too.
///
/// # Panics
/// If the name is longer than a test's would be.
#[must_use]
pub fn with_export(component: &[u8], name: &str) -> Vec<u8> {
    assert!(
        name.len() < 128,
        "a length of one byte is enough for a test"
    );
    let mut spliced = component.to_vec();
    let mut export = vec![1, 0x00, name.len() as u8];
    export.extend_from_slice(name.as_bytes());
    // Of the sort instance, the first one, without a type of its own.
    export.extend([0x05, 0x00, 0x00]);
    push_section(&mut spliced, 11, &export);
    spliced
}

/// Core modules in the component itself, not in components inside it.
fn core_modules(component: &[u8]) -> u8 {
    let mut rest = &component[8..];
    let mut modules = 0;
    while let Some((&id, after_id)) = rest.split_first() {
        let (mut length, mut used) = (0_usize, 0);
        for &byte in after_id {
            length |= usize::from(byte & 0x7f) << (7 * used);
            used += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        modules += u8::from(id == 1);
        rest = &after_id[used + length..];
    }
    modules
}

fn push_section(component: &mut Vec<u8>, id: u8, content: &[u8]) {
    component.push(id);
    let mut length = content.len();
    while length >= 0x80 {
        component.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    component.push(length as u8);
    component.extend_from_slice(content);
}
