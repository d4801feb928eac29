//! The GET `filter` grammar (ref §7.3), every oddity kept.
//!
//! Parameters are OR-ed; statements of one parameter are AND-ed by distinct key; the same key with
//! several values is OR-ed, and its bare form is then ignored. Keys are told apart as written, so
//! `Kind=a,kind=b` asks for both, as Backstage does. Nothing escapes a comma.

use super::{EntityFilter, FilterError, MAX_NODES};
use crate::casing::lower_case;
use crate::trimming::trim;

impl EntityFilter {
    /// Parses the values of all `filter` parameters of a request, decoded.
    ///
    /// `None` when no parameter holds a statement (`filter=,`): there is no filter then.
    ///
    /// # Errors
    /// [`FilterError::EmptyKey`] for a statement such as `=x`, [`FilterError::TooManyNodes`] above
    /// the bound.
    pub fn parse_params<S: AsRef<str>>(params: &[S]) -> Result<Option<EntityFilter>, FilterError> {
        let mut nodes = 0;
        let mut alternatives = Vec::new();
        for param in params {
            alternatives.extend(parse_param(param.as_ref(), &mut nodes)?);
        }
        Ok(match alternatives.len() {
            0 => None,
            1 => alternatives.pop(),
            _ => {
                charge(&mut nodes)?;
                Some(EntityFilter::Any(alternatives))
            }
        })
    }
}

/// One statement list; `None` if it holds only commas and space.
fn parse_param(param: &str, nodes: &mut usize) -> Result<Option<EntityFilter>, FilterError> {
    // Few keys stand in one parameter and their number is bounded, so a list beats a map.
    let mut by_key: Vec<(&str, Vec<String>)> = Vec::new();
    for statement in param.split(',') {
        let statement = trim(statement);
        if statement.is_empty() {
            continue;
        }
        charge(nodes)?;
        let (key, value) = match statement.split_once('=') {
            Some((key, value)) => (trim(key), Some(trim(value))),
            None => (statement, None),
        };
        if key.is_empty() {
            let shown = statement.chars().take(80).collect();
            return Err(FilterError::EmptyKey(shown));
        }
        let at = match by_key.iter().position(|(known, _)| *known == key) {
            Some(at) => at,
            None => {
                charge(nodes)?;
                by_key.push((key, Vec::new()));
                by_key.len() - 1
            }
        };
        let values = &mut by_key[at].1;
        let value = value.map(|value| lower_case(value).into_owned());
        values.extend(value);
    }
    let mut conditions: Vec<EntityFilter> = by_key
        .into_iter()
        .map(|(key, values)| {
            let key = lower_case(key).into_owned();
            if values.is_empty() {
                EntityFilter::Exists { key }
            } else {
                EntityFilter::In { key, values }
            }
        })
        .collect();
    if conditions.len() > 1 {
        charge(nodes)?;
        return Ok(Some(EntityFilter::All(conditions)));
    }
    Ok(conditions.pop())
}

fn charge(nodes: &mut usize) -> Result<(), FilterError> {
    *nodes += 1;
    if *nodes > MAX_NODES {
        return Err(FilterError::TooManyNodes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(params: &[&str]) -> Result<Option<EntityFilter>, FilterError> {
        EntityFilter::parse_params(params)
    }

    fn is_in(key: &str, values: &[&str]) -> EntityFilter {
        EntityFilter::In {
            key: key.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        }
    }

    fn exists(key: &str) -> EntityFilter {
        EntityFilter::Exists {
            key: key.to_owned(),
        }
    }

    #[test]
    fn follows_the_grammar() {
        for (params, expected) in [
            (
                vec!["kind=user,kind=group"],
                is_in("kind", &["user", "group"]),
            ),
            (vec![" Kind = User "], is_in("kind", &["user"])),
            (vec!["a"], exists("a")),
            (vec!["a="], is_in("a", &[""])),
            (vec!["a,a=1"], is_in("a", &["1"])),
            (vec!["a=1,a"], is_in("a", &["1"])),
            (
                vec!["a=1,b"],
                EntityFilter::All(vec![is_in("a", &["1"]), exists("b")]),
            ),
            (
                vec!["Kind=a,kind=b"],
                EntityFilter::All(vec![is_in("kind", &["a"]), is_in("kind", &["b"])]),
            ),
            (
                vec!["a=1", ",", "b"],
                EntityFilter::Any(vec![is_in("a", &["1"]), exists("b")]),
            ),
            (
                vec!["metadata.annotations.backstage.io/orphan=true"],
                is_in("metadata.annotations.backstage.io/orphan", &["true"]),
            ),
        ] {
            assert_eq!(parse(&params), Ok(Some(expected)), "{params:?}");
        }
    }

    #[test]
    fn h08_odd_and_endless_filters() {
        assert_eq!(parse(&[","]), Ok(None));
        assert_eq!(parse(&[]), Ok(None));
        for bad in ["=", "=x", "a, =x"] {
            assert!(
                matches!(parse(&[bad]), Err(FilterError::EmptyKey(_))),
                "{bad}"
            );
        }
        assert_eq!(
            parse(&["\u{feff}a = \u{feff}b"]),
            Ok(Some(is_in("a", &["b"])))
        );
        assert_eq!(parse(&["a==b"]), Ok(Some(is_in("a", &["=b"]))));
        assert_eq!(parse(&["a=\0"]), Ok(Some(is_in("a", &["\0"]))));
        let many = vec!["a=b"; 10_000];
        assert_eq!(parse(&many), Err(FilterError::TooManyNodes));
        let statements = vec!["a=b"; 10_000].join(",");
        assert_eq!(parse(&[&statements]), Err(FilterError::TooManyNodes));
        let long = format!("a={}", "x".repeat(1_000_000));
        assert!(parse(&[&long]).is_ok());
    }

    #[test]
    fn y08_odd_keys_are_plain_keys() {
        for key in ["__proto__", "constructor", "$ref", "a.b"] {
            assert_eq!(parse(&[key]), Ok(Some(exists(key))));
        }
    }
}
