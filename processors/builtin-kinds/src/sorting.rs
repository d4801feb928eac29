//! Sorts the arrays of refs in a `spec`, as JavaScript sorts strings: by UTF-16 units.
//!
//! Only arrays of strings alone are touched; the order of anything else is the source's.

use greenroom_sdk::{Map, Value};

const FIELDS: [&str; 7] = [
    "providesApis",
    "consumesApis",
    "dependsOn",
    "dependencyOf",
    "memberOf",
    "children",
    "members",
];

/// Sorts in place.
pub(crate) fn sort_refs(spec: &mut Map<String, Value>) {
    for name in FIELDS {
        if let Some(Value::Array(items)) = spec.get_mut(name)
            && items.iter().all(Value::is_string)
        {
            items.sort_by(|a, b| {
                let (a, b) = (
                    a.as_str().unwrap_or_default(),
                    b.as_str().unwrap_or_default(),
                );
                a.encode_utf16().cmp(b.encode_utf16())
            });
        }
    }
}
