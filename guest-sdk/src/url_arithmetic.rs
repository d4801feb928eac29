//! URL arithmetic of the model, for guests.

/// A source-code host without its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its type.
    pub r#type: String,
    /// Its host.
    pub host: String,
}
