//! Guests that behave and misbehave, one behaviour per file in `examples/`.
//!
//! They bind the contract directly and not through the SDK, because most of them do what the SDK
//! makes impossible. This library holds the bindings and the defaults, so that a program is its
//! behaviour and one line, [`program!`].

pub mod memory;

/// The contract, generated.
pub mod bindings {
    #![expect(missing_docs, reason = "bindgen-generated code")]

    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        world: "catalog-processor",
        pub_export_macro: true,
        export_macro_name: "export_bindings",
        default_bindings_module: "greenroom_test_programs::bindings",
    });
}

pub use bindings::exports::greenroom::processor::processor::{
    Descriptor, LocationAnswer, LocationRequest, ProcessAnswer, ProcessingError, Request,
    ValidateAnswer,
};
pub use bindings::greenroom::processor::types::{
    Diagnostic, Emission, EmittedEntity, EmittedLocation, Level, Location, LocationKey,
    LocationPending, LocationRead, Presence, Processed, ReadOutcome, Relation, Stage, Validated,
    Want,
};

/// What pre-process and post-process return.
pub type Answer = Result<ProcessAnswer, ProcessingError>;

/// A program: the stages it does not write do nothing.
pub trait Program {
    /// Has pre-process and read-location for all entities.
    fn describe() -> Descriptor {
        descriptor()
    }

    /// Leaves the entity unchanged.
    fn pre_process(_request: Request) -> Answer {
        unchanged()
    }

    /// Recognises nothing.
    fn validate_kind(_request: Request) -> Result<ValidateAnswer, ProcessingError> {
        Ok(ValidateAnswer::Done(Validated {
            recognised: false,
            diagnostics: Vec::new(),
            extensions: Vec::new(),
        }))
    }

    /// Handles nothing.
    fn read_location(_request: LocationRequest) -> Result<LocationAnswer, ProcessingError> {
        Ok(LocationAnswer::Done(LocationRead {
            handled: false,
            emissions: Vec::new(),
            cache: None,
            diagnostics: Vec::new(),
            extensions: Vec::new(),
        }))
    }

    /// Leaves the entity unchanged.
    fn post_process(_request: Request) -> Answer {
        unchanged()
    }
}

/// What a program says it is, by default.
pub fn descriptor() -> Descriptor {
    Descriptor {
        stages: vec![Stage::PreProcess],
        subscription: Vec::new(),
        location_types: Vec::new(),
        priority: 20,
        config_schema: None,
        time: None,
        summary: None,
        extensions: Vec::new(),
    }
}

/// Nothing changed, nothing emitted.
pub fn nothing() -> Processed {
    Processed {
        entity: None,
        emissions: Vec::new(),
        cache: None,
        diagnostics: Vec::new(),
        extensions: Vec::new(),
    }
}

/// The answer for an entity left as it is.
pub fn unchanged() -> Answer {
    Ok(ProcessAnswer::Done(nothing()))
}

/// An answer that says something about the entity.
pub fn say(message: String) -> Answer {
    let diagnostic = Diagnostic {
        level: Level::Info,
        message,
        location: None,
        position: None,
    };
    Ok(ProcessAnswer::Done(Processed {
        diagnostics: vec![diagnostic],
        ..nothing()
    }))
}

/// An answer with another entity text.
pub fn entity(text: String) -> Answer {
    Ok(ProcessAnswer::Done(Processed {
        entity: Some(text),
        ..nothing()
    }))
}

/// An answer with emissions.
pub fn emit(emissions: Vec<Emission>) -> Answer {
    Ok(ProcessAnswer::Done(Processed {
        emissions,
        ..nothing()
    }))
}

/// Makes a program the component's processor.
#[macro_export]
macro_rules! program {
    ($program:ident) => {
        $crate::guest!(Exported, $program);
        $crate::bindings::export_bindings!(Exported with_types_in $crate::bindings);
    };
}

/// Makes `$exported` the contract's `Guest` that is `$program`, without exporting it.
#[macro_export]
macro_rules! guest {
    ($exported:ident, $program:ident) => {
        struct $exported;

        impl $crate::bindings::exports::greenroom::processor::processor::Guest for $exported {
            fn describe() -> $crate::Descriptor {
                <$program as $crate::Program>::describe()
            }

            fn pre_process(request: $crate::Request) -> $crate::Answer {
                <$program as $crate::Program>::pre_process(request)
            }

            fn validate_kind(
                request: $crate::Request,
            ) -> Result<$crate::ValidateAnswer, $crate::ProcessingError> {
                <$program as $crate::Program>::validate_kind(request)
            }

            fn read_location(
                request: $crate::LocationRequest,
            ) -> Result<$crate::LocationAnswer, $crate::ProcessingError> {
                <$program as $crate::Program>::read_location(request)
            }

            fn post_process(request: $crate::Request) -> $crate::Answer {
                <$program as $crate::Program>::post_process(request)
            }
        }
    };
}
