//! Keys of the annotations the catalog itself writes or reads (ref §1.6). All others are opaque.

/// The location ref that emitted the entity; mandatory for processing.
pub const MANAGED_BY_LOCATION: &str = "backstage.io/managed-by-location";
/// The location ref that started the chain; mandatory for processing.
pub const MANAGED_BY_ORIGIN_LOCATION: &str = "backstage.io/managed-by-origin-location";
/// Where a person reads the file.
pub const VIEW_URL: &str = "backstage.io/view-url";
/// Where a person edits the file.
pub const EDIT_URL: &str = "backstage.io/edit-url";
/// `url:<directory>` of the source.
pub const SOURCE_LOCATION: &str = "backstage.io/source-location";
/// `"true"` while nobody emits the entity; written by the stitcher.
pub const ORPHAN: &str = "backstage.io/orphan";
