//! Order directives of requests: by-query's `field,asc` and `/entities`' `asc:field`.

use serde::{Deserialize, Serialize};

use crate::QueryError;

/// Most order directives of one request.
pub const MAX_ORDER_FIELDS: usize = 16;

/// The direction of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smallest first.
    #[default]
    Asc,
    /// Largest first.
    Desc,
}

/// One order directive, as in bodies and cursors: `{"field": "metadata.name", "order": "asc"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderField {
    /// The key as the caller wrote it.
    pub field: String,
    /// Ascending if left out.
    #[serde(default)]
    pub order: Direction,
}

impl OrderField {
    /// Reads the values of by-query's `orderField`: `field,asc`, `field,desc` or `field`.
    ///
    /// A missing direction is ascending; Backstage answers such a request with a cursor it then
    /// refuses (ref §7.7, a bug not to copy).
    ///
    /// # Errors
    /// [`QueryError::Order`] for an empty field or another direction, [`QueryError::TooMany`].
    pub fn parse_query<S: AsRef<str>>(values: &[S]) -> Result<Vec<OrderField>, QueryError> {
        let read = |text: &str| {
            let (field, order) = match text.split_once(',') {
                Some((field, order)) => (field, direction(order.trim())?),
                None => (text, Direction::Asc),
            };
            named(field, order)
        };
        parse_all(values, "`field,asc` or `field,desc`", read)
    }

    /// Reads the values of `/entities`' `order`: `asc:field` or `desc:field`.
    ///
    /// # Errors
    /// [`QueryError::Order`] for anything else, [`QueryError::TooMany`].
    pub fn parse_list<S: AsRef<str>>(values: &[S]) -> Result<Vec<OrderField>, QueryError> {
        let read = |text: &str| {
            let (order, field) = text.split_once(':')?;
            named(field, direction(order.trim())?)
        };
        parse_all(values, "`asc:field` or `desc:field`", read)
    }
}

fn parse_all<S: AsRef<str>>(
    values: &[S],
    expected: &'static str,
    read: impl Fn(&str) -> Option<OrderField>,
) -> Result<Vec<OrderField>, QueryError> {
    check_count(values.len())?;
    values
        .iter()
        .map(|value| {
            let text = value.as_ref();
            read(text).ok_or_else(|| QueryError::Order(text.chars().take(80).collect(), expected))
        })
        .collect()
}

pub(crate) fn check_count(count: usize) -> Result<(), QueryError> {
    if count > MAX_ORDER_FIELDS {
        return Err(QueryError::TooMany {
            what: "order fields",
            limit: MAX_ORDER_FIELDS,
        });
    }
    Ok(())
}

fn direction(text: &str) -> Option<Direction> {
    match text {
        "asc" => Some(Direction::Asc),
        "desc" => Some(Direction::Desc),
        _ => None,
    }
}

fn named(field: &str, order: Direction) -> Option<OrderField> {
    let field = field.trim();
    (!field.is_empty()).then(|| OrderField {
        field: field.to_owned(),
        order,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, order: Direction) -> OrderField {
        OrderField {
            field: name.to_owned(),
            order,
        }
    }

    #[test]
    fn reads_both_spellings() {
        assert_eq!(
            OrderField::parse_query(&["metadata.name,desc", " kind , asc ", "x"]),
            Ok(vec![
                field("metadata.name", Direction::Desc),
                field("kind", Direction::Asc),
                field("x", Direction::Asc),
            ])
        );
        assert_eq!(
            OrderField::parse_list(&["asc:a:b", "desc:x"]),
            Ok(vec![
                field("a:b", Direction::Asc),
                field("x", Direction::Desc)
            ])
        );
    }

    #[test]
    fn h08_refuses_odd_and_endless_orders() {
        for bad in ["", ",", ",asc", "a,up", "a,asc,b"] {
            assert!(OrderField::parse_query(&[bad]).is_err(), "{bad}");
        }
        for bad in ["", ":", "asc:", "metadata.name", "up:x"] {
            assert!(OrderField::parse_list(&[bad]).is_err(), "{bad}");
        }
        let many = vec!["asc:x"; 10_000];
        assert!(matches!(
            OrderField::parse_list(&many),
            Err(QueryError::TooMany { .. })
        ));
    }
}
