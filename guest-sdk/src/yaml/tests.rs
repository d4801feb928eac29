//! Tests of the YAML reader; rows y01-y07 of the hostile inputs.
