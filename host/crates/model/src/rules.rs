//! Catalog rules: which kinds a location may bring in (ref §2.6).
//!
//! Matched against the **origin** location of the emitting entity and applied only to entities that
//! processors emit, never to a provider's. The serde form is app-config's: `catalog.rules` is a
//! list, its absence means the default. Patterns follow minimatch with `nocase` and `dot`.

mod glob;

pub use glob::glob_matches;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::casing::lower_case;
use crate::entity::Entity;
use crate::location_ref::LocationRef;

/// All rules of a tenant; an entity is allowed when one of them allows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CatalogRules {
    rules: Vec<CatalogRule>,
}

/// One rule: these kinds, from these locations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogRule {
    /// Kinds it allows.
    pub allow: Vec<AllowedKind>,
    /// Origins it holds for; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locations: Option<Vec<RuleLocation>>,
}

/// A kind, perhaps of one `spec.type` only; both compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AllowedKindForm", into = "AllowedKindForm")]
pub struct AllowedKind {
    /// The kind.
    pub kind: String,
    /// The `spec.type` it is restricted to.
    pub spec_type: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum AllowedKindForm {
    Kind(String),
    Typed {
        kind: String,
        #[serde(rename = "spec.type", default, skip_serializing_if = "Option::is_none")]
        spec_type: Option<String>,
    },
}

/// An origin location: its type, and its target exactly or by pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleLocationForm", into = "RuleLocationForm")]
pub struct RuleLocation {
    /// Location type, compared exactly.
    pub r#type: String,
    /// What the target must be.
    pub target: RuleTarget,
}

/// What the target of an origin must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleTarget {
    /// Anything.
    Any,
    /// This text.
    Exact(String),
    /// Something this glob matches, see [`glob_matches`].
    Pattern(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleLocationForm {
    r#type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exact: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
}

/// A rule location that gives its target twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a catalog rule location cannot have both exact and pattern values; keep one")]
pub struct BothTargets;

impl Default for CatalogRules {
    /// Component, API and Location from everywhere.
    fn default() -> CatalogRules {
        let kind = |kind: &str| AllowedKind::new(kind);
        CatalogRules::new(vec![CatalogRule {
            allow: ["Component", "API", "Location"].map(kind).into(),
            locations: None,
        }])
    }
}

impl CatalogRules {
    /// Exactly these rules; none of them means nothing is allowed.
    #[must_use]
    pub fn new(rules: Vec<CatalogRule>) -> CatalogRules {
        CatalogRules { rules }
    }

    /// The rules in order.
    #[must_use]
    pub fn rules(&self) -> &[CatalogRule] {
        &self.rules
    }

    /// Adds the kinds that `catalog.locations[].rules` allows one static location.
    pub fn allow_from(&mut self, location: &LocationRef, kinds: Vec<AllowedKind>) {
        self.rules.push(CatalogRule {
            allow: kinds,
            locations: Some(vec![RuleLocation {
                r#type: location.r#type.clone(),
                target: RuleTarget::Exact(location.target.clone()),
            }]),
        });
    }

    /// Whether an entity may come from a chain that `origin` started.
    #[must_use]
    pub fn allows(&self, entity: &Entity, origin: &LocationRef) -> bool {
        self.allowed_from(origin)
            .any(|allowed| allowed.matches(entity))
    }

    /// What may come from there, in the order of the rules: what is told to whoever brings something else.
    pub fn allowed_from(&self, origin: &LocationRef) -> impl Iterator<Item = &AllowedKind> {
        let here = |rule: &&CatalogRule| match &rule.locations {
            None => true,
            Some(locations) => locations.iter().any(|location| location.matches(origin)),
        };
        self.rules.iter().filter(here).flat_map(|rule| &rule.allow)
    }
}

impl fmt::Display for AllowedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spec_type {
            None => f.write_str(&self.kind),
            Some(spec_type) => write!(f, "{} of type {spec_type}", self.kind),
        }
    }
}

impl AllowedKind {
    /// A kind of any type.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> AllowedKind {
        AllowedKind {
            kind: kind.into(),
            spec_type: None,
        }
    }

    fn matches(&self, entity: &Entity) -> bool {
        let same = |one: &str, other: &str| lower_case(one) == lower_case(other);
        let wanted = self
            .spec_type
            .as_deref()
            .filter(|wanted| !wanted.is_empty());
        same(&self.kind, entity.kind())
            && wanted
                .is_none_or(|wanted| entity.spec_type().is_some_and(|found| same(wanted, found)))
    }
}

impl RuleLocation {
    fn matches(&self, origin: &LocationRef) -> bool {
        self.r#type == origin.r#type
            && match &self.target {
                RuleTarget::Any => true,
                RuleTarget::Exact(exact) => *exact == origin.target,
                RuleTarget::Pattern(pattern) => glob_matches(pattern, &origin.target),
            }
    }
}

impl From<AllowedKindForm> for AllowedKind {
    fn from(form: AllowedKindForm) -> AllowedKind {
        match form {
            AllowedKindForm::Kind(kind) => AllowedKind::new(kind),
            AllowedKindForm::Typed { kind, spec_type } => AllowedKind { kind, spec_type },
        }
    }
}

impl From<AllowedKind> for AllowedKindForm {
    fn from(allowed: AllowedKind) -> AllowedKindForm {
        match allowed.spec_type {
            None => AllowedKindForm::Kind(allowed.kind),
            spec_type => AllowedKindForm::Typed {
                kind: allowed.kind,
                spec_type,
            },
        }
    }
}

impl TryFrom<RuleLocationForm> for RuleLocation {
    type Error = BothTargets;

    fn try_from(form: RuleLocationForm) -> Result<RuleLocation, BothTargets> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let target = match (given(form.exact), given(form.pattern)) {
            (None, None) => RuleTarget::Any,
            (Some(exact), None) => RuleTarget::Exact(exact),
            (None, Some(pattern)) => RuleTarget::Pattern(pattern),
            (Some(_), Some(_)) => return Err(BothTargets),
        };
        Ok(RuleLocation {
            r#type: form.r#type,
            target,
        })
    }
}

impl From<RuleLocation> for RuleLocationForm {
    fn from(location: RuleLocation) -> RuleLocationForm {
        let (exact, pattern) = match location.target {
            RuleTarget::Any => (None, None),
            RuleTarget::Exact(exact) => (Some(exact), None),
            RuleTarget::Pattern(pattern) => (None, Some(pattern)),
        };
        RuleLocationForm {
            r#type: location.r#type,
            exact,
            pattern,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entity(kind: &str, spec_type: &str) -> Entity {
        Entity::from_value(json!({
            "apiVersion": "a", "kind": kind, "metadata": {"name": "n"}, "spec": {"type": spec_type}
        }))
        .unwrap()
    }

    #[test]
    fn default_allows_three_kinds() {
        let origin = LocationRef::new("url", "https://h/x");
        let rules = CatalogRules::default();
        for (kind, allowed) in [("component", true), ("API", true), ("User", false)] {
            assert_eq!(rules.allows(&entity(kind, "x"), &origin), allowed, "{kind}");
        }
        let nothing = CatalogRules::new(Vec::new());
        assert!(!nothing.allows(&entity("API", "x"), &origin));
    }

    #[test]
    fn reads_app_config() {
        let config = json!([
            {"allow": ["API", {"kind": "Resource", "spec.type": "Database"}]},
            {"allow": ["Template"], "locations": [
                {"type": "url", "pattern": "https://github.com/org/*/blob/master/*.yaml"}]},
            {"allow": ["User"], "locations": [{"type": "file", "exact": "/a.yaml"}]}
        ]);
        let mut rules: CatalogRules = serde_json::from_value(config.clone()).unwrap();
        assert_eq!(serde_json::to_value(&rules).unwrap(), config);
        let inside = LocationRef::new("url", "https://GitHub.com/org/repo/blob/master/t.yaml");
        let outside = LocationRef::new("url", "https://github.com/org/a/b/blob/master/t.yaml");
        let file = LocationRef::new("file", "/a.yaml");
        assert!(rules.allows(&entity("Resource", "database"), &outside));
        assert!(!rules.allows(&entity("Resource", "queue"), &outside));
        assert!(rules.allows(&entity("Template", "x"), &inside));
        assert!(!rules.allows(&entity("Template", "x"), &outside));
        assert!(rules.allows(&entity("User", "x"), &file));
        assert!(!rules.allows(&entity("User", "x"), &inside));
        rules.allow_from(&outside, vec![AllowedKind::new("User")]);
        assert!(rules.allows(&entity("User", "x"), &outside));
        let told: Vec<String> = rules
            .allowed_from(&outside)
            .map(AllowedKind::to_string)
            .collect();
        assert_eq!(told, ["API", "Resource of type Database", "User"]);
    }

    #[test]
    fn refuses_two_targets() {
        let both =
            json!([{"allow": [], "locations": [{"type": "url", "exact": "a", "pattern": "b"}]}]);
        assert!(serde_json::from_value::<CatalogRules>(both).is_err());
    }
}
