//! Misbehaves: declares a configuration schema that would have something fetched.

use greenroom_test_programs::{Descriptor, Program, descriptor, program};

struct SchemaUnbounded;

impl Program for SchemaUnbounded {
    fn describe() -> Descriptor {
        Descriptor {
            config_schema: Some(r#"{"$ref":"https://example.com/schema.json"}"#.to_owned()),
            ..descriptor()
        }
    }
}

program!(SchemaUnbounded);
