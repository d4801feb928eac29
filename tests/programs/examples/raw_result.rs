//! Returns whatever bytes its configuration spells in hexadecimal as the result of the call, so that a test can lie about
//! lengths, addresses, cases and text (c07). They begin at address 0x40000, the page after those it starts with. With `@` and
//! an address it returns nothing but that address.

#![expect(
    unsafe_code,
    reason = "goes round the bindings: that is the behaviour of this program"
)]

use bindings::exports::greenroom::processor::processor;
use bindings::greenroom::processor::log;
use bindings::greenroom::processor::types::Level;
use greenroom_test_programs::memory;

/// Bindings of its own, because those of the library describe the exports only together with defining them.
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        world: "catalog-processor",
    });
}

/// Where the configuration stands in a request, after the entity and two locations: an address and a length.
const CONFIG_AT: usize = 40;

/// What describes the program; its stages are exported below, in place of these.
struct Described;

impl processor::Guest for Described {
    fn describe() -> processor::Descriptor {
        processor::Descriptor {
            stages: vec![bindings::greenroom::processor::types::Stage::PreProcess],
            subscription: Vec::new(),
            location_types: Vec::new(),
            priority: 20,
            config_schema: None,
            time: None,
            summary: None,
            extensions: Vec::new(),
        }
    }

    fn pre_process(
        _: processor::Request,
    ) -> Result<processor::ProcessAnswer, processor::ProcessingError> {
        std::process::abort()
    }

    fn validate_kind(
        _: processor::Request,
    ) -> Result<processor::ValidateAnswer, processor::ProcessingError> {
        std::process::abort()
    }

    fn read_location(
        _: processor::LocationRequest,
    ) -> Result<processor::LocationAnswer, processor::ProcessingError> {
        std::process::abort()
    }

    fn post_process(
        _: processor::Request,
    ) -> Result<processor::ProcessAnswer, processor::ProcessingError> {
        std::process::abort()
    }
}

fn digit(byte: u8) -> u8 {
    (byte as char).to_digit(16).unwrap_or(0) as u8
}

/// What the test spells; bytes that it does not are 0.
///
/// # Safety
/// `request` is a request as the canonical ABI lays it out.
unsafe fn result(request: *const u8) -> *const u8 {
    // SAFETY: the caller's promise.
    let config = unsafe {
        let field = |at: usize| request.add(at).cast::<usize>().read();
        std::slice::from_raw_parts(field(CONFIG_AT) as *const u8, field(CONFIG_AT + 4))
    };
    if let [b'@', address @ ..] = config {
        let address = address
            .iter()
            .fold(0, |sum, &byte| sum << 4 | digit(byte) as usize);
        return address as *const u8;
    }
    let Some(page) = memory::grow(1) else {
        // Naming an import of the bindings also keeps their description of the world, by which this becomes a component.
        log::log(Level::Error, "no page", &[]);
        std::process::abort()
    };
    for (byte, pair) in page.iter_mut().zip(config.chunks_exact(2)) {
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    page.as_ptr()
}

#[unsafe(export_name = "greenroom:processor/processor@0.1.0#describe")]
unsafe extern "C" fn describe() -> *const u8 {
    // SAFETY: takes nothing.
    unsafe { processor::_export_describe_cabi::<Described>() }
}

#[unsafe(export_name = "greenroom:processor/processor@0.1.0#pre-process")]
unsafe extern "C" fn pre_process(request: *const u8) -> *const u8 {
    // SAFETY: the host passes a request.
    unsafe { result(request) }
}

#[unsafe(export_name = "greenroom:processor/processor@0.1.0#validate-kind")]
unsafe extern "C" fn validate_kind(request: *const u8) -> *const u8 {
    // SAFETY: the host passes a request.
    unsafe { result(request) }
}

#[unsafe(export_name = "greenroom:processor/processor@0.1.0#read-location")]
unsafe extern "C" fn read_location(request: *const u8) -> *const u8 {
    // SAFETY: the host passes a request first.
    unsafe { result(request) }
}

#[unsafe(export_name = "greenroom:processor/processor@0.1.0#post-process")]
unsafe extern "C" fn post_process(request: *const u8) -> *const u8 {
    // SAFETY: the host passes a request.
    unsafe { result(request) }
}
