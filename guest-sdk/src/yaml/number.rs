//! Numbers as JavaScript holds and prints them (y06): all are doubles.

use serde_json::{Number, Value};

/// The double as `JSON.stringify` gives it: no `-0`, no `1.0`, no infinities.
pub(super) fn json(number: f64) -> Value {
    if !number.is_finite() {
        return Value::Null;
    }
    if number == 0.0 {
        return Value::from(0);
    }
    if number.fract() == 0.0 {
        // Shortest digits that give the double again, filled with zeros, as JavaScript prints it;
        // below 1e21, of which 64 bits hold those below 1.8e19.
        let digits = format!("{number}");
        if let Ok(integer) = digits.parse::<i64>() {
            return Value::from(integer);
        }
        if let Ok(integer) = digits.parse::<u64>() {
            return Value::from(integer);
        }
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// The double as `String(number)` gives it: what a number as a key becomes.
pub(super) fn text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let size = number.abs();
    if size >= 1e21 {
        format!("{number:e}").replace('e', "e+")
    } else if size < 1e-6 {
        format!("{number:e}")
    } else {
        format!("{number}")
    }
}

/// `parseInt` of digits in a radix that is a power of two, rounded once.
pub(super) fn from_digits(digits: &str, bits: u32) -> f64 {
    let digits = digits.trim_start_matches('0');
    let radix = 1 << bits;
    let (mut mantissa, mut exponent, mut sticky) = (0_u128, 0_i32, false);
    for digit in digits.chars().filter_map(|c| c.to_digit(radix)) {
        if mantissa >> 100 == 0 {
            mantissa = (mantissa << bits) | u128::from(digit);
        } else {
            sticky |= digit != 0;
            exponent = exponent.saturating_add(bits.cast_signed());
        }
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "rounding to a double is the point"
    )]
    let rounded = (mantissa | u128::from(sticky)) as f64;
    rounded * 2_f64.powi(exponent)
}
