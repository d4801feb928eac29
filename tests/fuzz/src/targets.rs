//! The targets, one file each. A target takes any bytes, and panics only where the code under it breaks a promise.

pub mod component;
pub mod cursor;
pub mod entity_ref;
pub mod filter;
pub mod frame;
pub mod generated_code;
pub mod guest_json;
pub mod guest_result;
pub mod mutation;
pub mod predicate;
mod sandboxed;
pub mod yaml;

pub use sandboxed::components_called;
