//! `entity!`: an entity written as JSON, for tests and for entities a processor emits.

/// Makes an [`crate::Entity`] of a JSON object.
///
/// # Panics
/// If the envelope (apiVersion, kind, metadata.name) does not hold.
#[macro_export]
macro_rules! entity {
    ({ $($body:tt)* }) => {
        match $crate::Entity::from_value($crate::json!({ $($body)* })) {
            Ok(entity) => entity,
            Err(error) => panic!("not an entity: {error}"),
        }
    };
}
