//! Entity refs and location refs (y12): what is read is what it prints as, and reads again.

use greenroom_model::{EntityRef, LocationRef};

/// Reads the text as a ref of either kind.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for read in [
        EntityRef::parse(&text),
        EntityRef::parse_with(&text, Some("Component"), None),
        EntityRef::parse_with(&text, Some("group"), Some("team")),
    ] {
        match read {
            Ok(entity_ref) => {
                let again = EntityRef::parse(entity_ref.as_str());
                assert_eq!(again.as_ref(), Ok(&entity_ref), "it reads as it prints");
                for piece in [entity_ref.kind(), entity_ref.namespace(), entity_ref.name()] {
                    assert!(!piece.is_empty(), "no piece is empty");
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if let Ok(location) = LocationRef::parse(&text) {
        assert_eq!(LocationRef::parse(&location.to_string()), Ok(location));
    }
}
