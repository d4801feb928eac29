//! Components through inspection, compilation and a call of every stage (a05). Bytes that begin with `(` are text of
//! WebAssembly and made binary first, so that seeds can be read.

use super::sandboxed::run_all_stages;

/// Compiles the bytes and calls what they are.
pub fn run(data: &[u8]) {
    if data.first() == Some(&b'(') {
        if let Ok(text) = std::str::from_utf8(data)
            && let Ok(binary) = wat::parse_str(text)
        {
            run_all_stages(&binary);
        }
        return;
    }
    run_all_stages(data);
}
