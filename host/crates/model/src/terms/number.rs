//! Numbers as JavaScript's `String(number)` writes them, because Backstage's terms are made so.
//!
//! JavaScript knows only doubles: integers over 2⁵³ are rounded, exponents appear from 10²¹ up and
//! below 10⁻⁶, and negative zero is `0`.

use serde_json::Number;

/// The text of a JSON number in filters and terms.
#[must_use]
pub fn number_text(number: &Number) -> String {
    const EXACT: u64 = 1 << 53;
    if let Some(integer) = number.as_i64()
        && integer.unsigned_abs() <= EXACT
    {
        return integer.to_string();
    }
    // Without `arbitrary_precision` every number has a double; there is no third case.
    double_text(number.as_f64().unwrap_or_default())
}

fn double_text(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rust's exponent form holds the shortest digits that read back, as JavaScript's rule asks.
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let sign = if value < 0.0 { "-" } else { "" };
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The decimal point stands after this many digits.
    let point = exponent + 1;
    let body = if (count..=21).contains(&point) {
        format!("{digits}{}", "0".repeat(width(point - count)))
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = digits.split_at(width(point));
        format!("{whole}.{fraction}")
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", "0".repeat(width(-point)))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let plus = if exponent > 0 { "+" } else { "" };
        format!("{first}{dot}{rest}e{plus}{exponent}")
    };
    format!("{sign}{body}")
}

fn width(count: i32) -> usize {
    usize::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers_as_javascript_does() {
        for (json, expected) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("1", "1"),
            ("1.0", "1"),
            ("-12", "-12"),
            ("1.50", "1.5"),
            ("0.1", "0.1"),
            ("123456.789", "123456.789"),
            ("9007199254740993", "9007199254740992"),
            ("12345678901234567890", "12345678901234567000"),
            ("100000000000000000000", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1.5e21", "1.5e+21"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("-1.25e-9", "-1.25e-9"),
            ("1e300", "1e+300"),
            ("-9223372036854775808", "-9223372036854776000"),
        ] {
            let number: Number = serde_json::from_str(json).unwrap();
            assert_eq!(number_text(&number), expected, "{json}");
        }
    }
}
