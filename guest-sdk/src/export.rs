//! The one line that makes a type a component, and the panic hook that comes with it.

/// Exports a [`crate::Processor`] as the component's processor. Does nothing in a native build.
#[macro_export]
macro_rules! export {
    ($processor:ty) => {
        // Natively nothing calls it; the compiler still checks that it could be exported.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $processor = $crate::hidden::check::<$processor>();

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::exports::greenroom::processor::processor::Guest;
            use $crate::bindings::greenroom::processor::types;

            struct Exported;

            impl Guest for Exported {
                fn describe() -> types::Descriptor {
                    $crate::hidden::install_panic_hook();
                    $crate::hidden::describe::<$processor>()
                }

                fn pre_process(
                    request: types::Request,
                ) -> Result<types::ProcessAnswer, types::ProcessingError> {
                    $crate::hidden::install_panic_hook();
                    $crate::hidden::pre_process::<$processor>(request)
                }

                fn validate_kind(
                    request: types::Request,
                ) -> Result<types::ValidateAnswer, types::ProcessingError> {
                    $crate::hidden::install_panic_hook();
                    $crate::hidden::validate_kind::<$processor>(request)
                }

                fn read_location(
                    request: types::LocationRequest,
                ) -> Result<types::LocationAnswer, types::ProcessingError> {
                    $crate::hidden::install_panic_hook();
                    $crate::hidden::read_location::<$processor>(request)
                }

                fn post_process(
                    request: types::Request,
                ) -> Result<types::ProcessAnswer, types::ProcessingError> {
                    $crate::hidden::install_panic_hook();
                    $crate::hidden::post_process::<$processor>(request)
                }
            }

    $crate::bindings::export_processor!(Exported with_types_in $crate::bindings);
        };
    };
}

/// Accepts every type that can be exported, in a native build.
#[cfg(not(target_arch = "wasm32"))]
#[must_use]
pub const fn check<P: crate::Processor>() -> fn() -> P {
    P::default
}

/// Sends the message and place of a panic to the log before the guest traps, so that the fault
/// names the line. The log survives the trap.
#[cfg(target_arch = "wasm32")]
pub fn install_panic_hook() {
    use crate::bindings::greenroom::processor::{log, types::Level};
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("panicked");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log::log(
            Level::Error,
            message,
            &[("panic.location".to_owned(), place)],
        );
    }));
}
