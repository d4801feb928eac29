//! Whether a component's functions have the types of the contract (a12), told with both beside each other as WIT.
//!
//! Names are checked by `inspect`, imports by the linker; wasmtime itself looks at the types of exports only when an
//! instance is made, which is too late for an author. Nothing is run here.

use std::fmt::Write as _;

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{self, ComponentFunc, ComponentInstance, ComponentItem, Type};

use crate::Rejection;
use crate::bindings::v0_1::types::{
    Descriptor, LocationAnswer, LocationRequest, ProcessAnswer, ProcessingError, Request,
    ValidateAnswer,
};
use crate::inspect::EXPECTED_EXPORT;
use crate::printable::printable;

/// Longest type shown, in bytes. Types are written out, and one that is used twice is written twice.
const TYPE_BYTES: usize = 600;
/// Deepest type shown.
const DEPTH: u32 = 12;

/// The functions of the interface, as `wit/v0.1/processor.wit` has them.
const FUNCTIONS: [(&str, &str); 5] = [
    ("describe", "func() -> descriptor"),
    (
        "pre-process",
        "func(request: request) -> result<process-answer, processing-error>",
    ),
    (
        "validate-kind",
        "func(request: request) -> result<validate-answer, processing-error>",
    ),
    (
        "read-location",
        "func(request: location-request) -> result<location-answer, processing-error>",
    ),
    (
        "post-process",
        "func(request: request) -> result<process-answer, processing-error>",
    ),
];

/// Checks the functions that a component exports as its processor.
pub(crate) fn check_functions(engine: &Engine, component: &Component) -> Result<(), Rejection> {
    // Found as it is when an instance is made, so that of two patches of a track the one that is called is checked.
    let found = component.get_export(None, EXPECTED_EXPORT);
    let component = component.component_type();
    let Some((ComponentItem::ComponentInstance(instance), _)) = found else {
        return Err(Rejection::Contract(
            "the processor is exported, but is no interface".to_owned(),
        ));
    };
    for (name, expected) in FUNCTIONS {
        check(engine, &instance, &component, name, expected)?;
    }
    Ok(())
}

fn check(
    engine: &Engine,
    instance: &ComponentInstance,
    component: &types::Component,
    name: &str,
    expected: &str,
) -> Result<(), Rejection> {
    let found = instance.get_export(engine, name).map(|export| export.ty);
    let Some(ComponentItem::ComponentFunc(function)) = found else {
        return Err(Rejection::Contract(format!(
            "it has no function `{name}: {expected}`"
        )));
    };
    if fits(name, &function, component) {
        return Ok(());
    }
    let found = printable(&function_text(&function), TYPE_BYTES);
    Err(Rejection::Contract(format!(
        "it has `{name}: {found}`, which must be `{name}: {expected}` of wit/v0.1"
    )))
}

fn fits(name: &str, function: &ComponentFunc, component: &types::Component) -> bool {
    let types = &component.instance_type();
    let fits = match name {
        "describe" => function.typecheck::<(), (Descriptor,)>(types),
        "validate-kind" => {
            function.typecheck::<(&Request,), (Result<ValidateAnswer, ProcessingError>,)>(types)
        }
        "read-location" => function
            .typecheck::<(&LocationRequest,), (Result<LocationAnswer, ProcessingError>,)>(types),
        _ => function.typecheck::<(&Request,), (Result<ProcessAnswer, ProcessingError>,)>(types),
    };
    fits.is_ok() && !function.async_()
}

fn function_text(function: &ComponentFunc) -> String {
    let mut text = String::from(if function.async_() {
        "async func("
    } else {
        "func("
    });
    for (place, (name, ty)) in function.params().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{name}: ");
        write_type(&mut text, &ty, 0);
    }
    text.push(')');
    for ty in function.results() {
        text.push_str(" -> ");
        write_type(&mut text, &ty, 0);
    }
    text
}

/// Writes a type as WIT would, with its parts in place of their names, which a component does not keep.
fn write_type(text: &mut String, ty: &Type, depth: u32) {
    if depth > DEPTH || text.len() > TYPE_BYTES {
        text.push('…');
        return;
    }
    let named = match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::Own(_) | Type::Borrow(_) => "resource",
        Type::ErrorContext => "error-context",
        Type::Future(_) => "future",
        Type::Stream(_) => "stream",
        Type::Map(_) => "map",
        Type::List(list) => {
            return around(text, "list<", vec![(None, Some(list.ty()))], ">", depth);
        }
        Type::FixedLengthList(list) => {
            return around(text, "list<", vec![(None, Some(list.ty()))], ">", depth);
        }
        Type::Option(option) => {
            return around(text, "option<", vec![(None, Some(option.ty()))], ">", depth);
        }
        Type::Result(result) => {
            let parts = vec![(None, result.ok()), (None, result.err())];
            return around(text, "result<", parts, ">", depth);
        }
        Type::Tuple(tuple) => {
            let parts = tuple.types().map(|ty| (None, Some(ty))).collect();
            return around(text, "tuple<", parts, ">", depth);
        }
        Type::Record(record) => {
            let parts = record
                .fields()
                .map(|field| (Some(field.name.to_owned()), Some(field.ty)))
                .collect();
            return around(text, "record { ", parts, " }", depth);
        }
        Type::Variant(variant) => {
            let parts = variant
                .cases()
                .map(|case| (Some(case.name.to_owned()), case.ty))
                .collect();
            return around(text, "variant { ", parts, " }", depth);
        }
        Type::Enum(names) => {
            let parts = names
                .names()
                .map(|name| (Some(name.to_owned()), None))
                .collect();
            return around(text, "enum { ", parts, " }", depth);
        }
        Type::Flags(names) => {
            let parts = names
                .names()
                .map(|name| (Some(name.to_owned()), None))
                .collect();
            return around(text, "flags { ", parts, " }", depth);
        }
    };
    text.push_str(named);
}

/// Parts between brackets: a name, a type, or both.
fn around(
    text: &mut String,
    open: &str,
    parts: Vec<(Option<String>, Option<Type>)>,
    close: &str,
    depth: u32,
) {
    text.push_str(open);
    for (place, (name, ty)) in parts.into_iter().enumerate() {
        if text.len() > TYPE_BYTES {
            text.push('…');
            break;
        }
        if place > 0 {
            text.push_str(", ");
        }
        match (name, ty) {
            (Some(name), Some(ty)) => {
                let _ = write!(text, "{name}: ");
                write_type(text, &ty, depth + 1);
            }
            (Some(name), None) => text.push_str(&name),
            (None, Some(ty)) => write_type(text, &ty, depth + 1),
            (None, None) => text.push('_'),
        }
    }
    text.push_str(close);
}
