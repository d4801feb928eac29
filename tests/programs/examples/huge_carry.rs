//! Reads a location with a carry of as many bytes as its configuration says (c20).

use greenroom_test_programs::{
    LocationAnswer, LocationPending, LocationRequest, ProcessingError, Program, program,
};

struct HugeCarry;

impl Program for HugeCarry {
    fn read_location(request: LocationRequest) -> Result<LocationAnswer, ProcessingError> {
        let bytes: usize = request.request.config.parse().unwrap_or(0);
        Ok(LocationAnswer::Pending(LocationPending {
            wants: Vec::new(),
            carry: Some("x".repeat(bytes)),
            emissions: Vec::new(),
        }))
    }
}

program!(HugeCarry);
