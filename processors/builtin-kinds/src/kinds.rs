//! The kinds, as a table: fields with their types (ref §1.4) and relations (ref §1.5).
//!
//! The order of fields is that of Backstage's schemas, because only the first error is shown.

use greenroom_sdk::Entity;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A non-empty string.
    Text,
    /// An array of non-empty strings.
    Texts,
    /// `displayName`, `email`, `picture`.
    Profile,
    /// `required` or `optional`.
    Presence,
}

/// A field whose refs become relations, both ways.
#[derive(Debug)]
pub(crate) struct RelationField {
    pub(crate) name: &'static str,
    /// Kind of a ref that names none; without it the kind is mandatory.
    pub(crate) default_kind: Option<&'static str>,
    pub(crate) forward: &'static str,
    pub(crate) reverse: &'static str,
}

/// One kind.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) required: &'static [&'static str],
    pub(crate) fields: &'static [(&'static str, Shape)],
    pub(crate) relations: &'static [RelationField],
}

/// The kind of the entity if it is one of ours; letter case counts.
pub(crate) fn recognise(entity: &Entity) -> Option<&'static Kind> {
    matches!(
        entity.api_version(),
        "backstage.io/v1alpha1" | "backstage.io/v1beta1"
    )
    .then(|| by_name(entity.kind()))
    .flatten()
}

/// The kind of that name, whatever its apiVersion: relations look at nothing else.
pub(crate) fn by_name(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

const fn relation(
    name: &'static str,
    default_kind: &'static str,
    forward: &'static str,
    reverse: &'static str,
) -> RelationField {
    RelationField {
        name,
        default_kind: Some(default_kind),
        forward,
        reverse,
    }
}

const OWNER: RelationField = relation("owner", "Group", "ownedBy", "ownerOf");
const SYSTEM: RelationField = relation("system", "System", "partOf", "hasPart");
const DEPENDS_ON: RelationField = RelationField {
    name: "dependsOn",
    default_kind: None,
    forward: "dependsOn",
    reverse: "dependencyOf",
};
const DEPENDENCY_OF: RelationField = RelationField {
    name: "dependencyOf",
    default_kind: None,
    forward: "dependencyOf",
    reverse: "dependsOn",
};

/// Every kind we know.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "Component",
        required: &["type", "lifecycle", "owner"],
        fields: &[
            ("type", Shape::Text),
            ("lifecycle", Shape::Text),
            ("owner", Shape::Text),
            ("system", Shape::Text),
            ("subcomponentOf", Shape::Text),
            ("providesApis", Shape::Texts),
            ("consumesApis", Shape::Texts),
            ("dependsOn", Shape::Texts),
        ],
        relations: &[
            OWNER,
            relation("subcomponentOf", "Component", "partOf", "hasPart"),
            relation("providesApis", "API", "providesApi", "apiProvidedBy"),
            relation("consumesApis", "API", "consumesApi", "apiConsumedBy"),
            DEPENDS_ON,
            DEPENDENCY_OF,
            SYSTEM,
        ],
    },
    Kind {
        name: "API",
        required: &["type", "lifecycle", "owner", "definition"],
        fields: &[
            ("type", Shape::Text),
            ("lifecycle", Shape::Text),
            ("owner", Shape::Text),
            ("system", Shape::Text),
            ("definition", Shape::Text),
        ],
        relations: &[OWNER, SYSTEM],
    },
    Kind {
        name: "Resource",
        required: &["type", "owner"],
        fields: &[
            ("type", Shape::Text),
            ("owner", Shape::Text),
            ("dependsOn", Shape::Texts),
            ("system", Shape::Text),
        ],
        relations: &[OWNER, DEPENDS_ON, DEPENDENCY_OF, SYSTEM],
    },
    Kind {
        name: "System",
        required: &["owner"],
        fields: &[
            ("owner", Shape::Text),
            ("domain", Shape::Text),
            ("type", Shape::Text),
        ],
        relations: &[OWNER, relation("domain", "Domain", "partOf", "hasPart")],
    },
    Kind {
        name: "Domain",
        required: &["owner"],
        fields: &[
            ("owner", Shape::Text),
            ("subdomainOf", Shape::Text),
            ("type", Shape::Text),
        ],
        relations: &[
            OWNER,
            relation("subdomainOf", "Domain", "partOf", "hasPart"),
        ],
    },
    Kind {
        name: "Group",
        required: &["type", "children"],
        fields: &[
            ("type", Shape::Text),
            ("profile", Shape::Profile),
            ("parent", Shape::Text),
            ("children", Shape::Texts),
            ("members", Shape::Texts),
        ],
        relations: &[
            relation("parent", "Group", "childOf", "parentOf"),
            relation("children", "Group", "parentOf", "childOf"),
            relation("members", "User", "hasMember", "memberOf"),
        ],
    },
    Kind {
        name: "User",
        required: &["memberOf"],
        fields: &[("profile", Shape::Profile), ("memberOf", Shape::Texts)],
        relations: &[relation("memberOf", "Group", "memberOf", "hasMember")],
    },
    Kind {
        name: "Location",
        required: &[],
        fields: &[
            ("type", Shape::Text),
            ("target", Shape::Text),
            ("targets", Shape::Texts),
            ("presence", Shape::Presence),
        ],
        relations: &[],
    },
];
