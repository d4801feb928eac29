//! Equality of JSON values as JSON Schema means it: numbers by value, so that 1 is 1.0, and objects without order.

use serde_json::{Number, Value};

/// Whether two values are equal.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b).is_eq(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// The order of two numbers. Whole numbers are compared exactly, others as doubles; JSON has no NaN.
pub(super) fn compare(a: &Number, b: &Number) -> std::cmp::Ordering {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => double(a).total_cmp(&double(b)),
    }
}

/// A number that is whole, whether written `1` or `1.0`.
pub(super) fn whole(number: &Number) -> Option<i128> {
    if let Some(whole) = number.as_i64() {
        return Some(i128::from(whole));
    }
    if let Some(whole) = number.as_u64() {
        return Some(i128::from(whole));
    }
    let double = number.as_f64()?;
    // Doubles beyond 2^53 are whole too, but no longer exact: they are compared as doubles.
    (double.fract() == 0.0 && double.abs() <= 9_007_199_254_740_992.0).then_some(double as i128)
}

/// The number as a double; zero has one sign.
pub(super) fn double(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::MAX) + 0.0
}
