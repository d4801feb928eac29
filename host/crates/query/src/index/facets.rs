//! Facets: how often each value of a key occurs (ref §7.2).

use greenroom_model::filter::EntityFilter;

use super::evaluate::Budget;
use crate::{FacetCount, Index, MAX_FACETS, QueryError};

impl Index {
    /// Counts the values of keys over the entities that match, ordered by value; one list per key,
    /// in the order asked for, so that the caller echoes its casing. Spellings count apart; null
    /// values are not counted; a key nobody has gives an empty list.
    ///
    /// # Errors
    /// [`QueryError::TooMany`] above [`MAX_FACETS`] keys, [`QueryError::TooCostly`].
    pub fn facets<S: AsRef<str>>(
        &self,
        keys: &[S],
        filter: Option<&EntityFilter>,
    ) -> Result<Vec<Vec<FacetCount>>, QueryError> {
        if keys.len() > MAX_FACETS {
            return Err(QueryError::TooMany {
                what: "facets",
                limit: MAX_FACETS,
            });
        }
        let mut budget = Budget::new();
        let filter = filter.filter(|filter| !filter.is_everything());
        let docs = match filter {
            Some(filter) => Some(self.matching(Some(filter), &mut budget)?),
            None => None,
        };
        let mut facets = Vec::with_capacity(keys.len());
        for key in keys {
            let key = greenroom_model::lower_case(key.as_ref());
            let Some(key) = self.dictionary.key(&key) else {
                facets.push(Vec::new());
                continue;
            };
            let terms = self.dictionary.terms_of(key);
            budget.spend(terms.len().saturating_mul(2))?;
            let mut counted = Vec::new();
            for term in terms.iter() {
                let Some(value) = self.dictionary.value(term) else {
                    continue;
                };
                let posting = &self.dictionary.term(term).docs;
                let count = match &docs {
                    Some(docs) => posting.intersection_len(docs),
                    None => posting.len(),
                };
                if count > 0
                    && let Some(original) = self.dictionary.original(term)
                {
                    counted.push((value, original, count));
                }
            }
            counted.sort_unstable();
            let counts = counted.into_iter().map(|(_, original, count)| FacetCount {
                value: original.into_owned(),
                count,
            });
            facets.push(counts.collect());
        }
        Ok(facets)
    }
}
