//! What a Template looks like, as a table; the order of fields is that of the scaffolder's schema.

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// A string.
    Text,
    /// A string that is not empty.
    NonEmpty,
    /// A string or a boolean.
    TextOrBool,
    /// An array of that.
    Array(&'static Rule),
    /// An object.
    Object(&'static Object),
    /// An object, or an array of objects; the error of anything else names the object.
    OneOrMany(&'static Object),
}

/// What an object must hold.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) required: &'static [&'static str],
    pub(crate) fields: &'static [(&'static str, Rule)],
    /// What every other field must be.
    pub(crate) others: Option<Rule>,
}

const fn object(fields: &'static [(&'static str, Rule)]) -> Object {
    Object {
        required: &[],
        fields,
        others: None,
    }
}

const ANY: Object = object(&[]);
const PERMISSIONS: Object = object(&[("tags", Rule::Array(&Rule::Text))]);
const PARAMETERS: Object = object(&[("backstage:permissions", Rule::Object(&PERMISSIONS))]);
const SECRETS: Object = object(&[("schema", Rule::Object(&ANY))]);
const BUTTON_LABELS: Object = object(&[
    ("backButtonText", Rule::Text),
    ("createButtonText", Rule::Text),
    ("reviewButtonText", Rule::Text),
]);
const PRESENTATION: Object = object(&[("buttonLabels", Rule::Object(&BUTTON_LABELS))]);
const RECOVERY: Object = object(&[("EXPERIMENTAL_strategy", Rule::Text)]);
const DECORATOR: Object = object(&[("id", Rule::Text), ("input", Rule::Object(&ANY))]);
const STEP: Object = Object {
    required: &["action"],
    fields: &[
        ("id", Rule::Text),
        ("name", Rule::Text),
        ("action", Rule::Text),
        ("input", Rule::Object(&ANY)),
        ("if", Rule::TextOrBool),
        ("backstage:permissions", Rule::Object(&PERMISSIONS)),
    ],
    others: None,
};
const LINK: Object = object(&[
    ("if", Rule::TextOrBool),
    ("url", Rule::NonEmpty),
    ("entityRef", Rule::NonEmpty),
    ("title", Rule::NonEmpty),
    ("icon", Rule::NonEmpty),
]);
const OUTPUT_TEXT: Object = object(&[
    ("if", Rule::TextOrBool),
    ("title", Rule::NonEmpty),
    ("icon", Rule::NonEmpty),
    ("content", Rule::Text),
]);
const OUTPUT: Object = Object {
    required: &[],
    fields: &[
        ("links", Rule::Array(&Rule::Object(&LINK))),
        ("text", Rule::Array(&Rule::Object(&OUTPUT_TEXT))),
    ],
    others: Some(Rule::Text),
};
const SPEC: Object = Object {
    required: &["type", "steps"],
    fields: &[
        ("type", Rule::NonEmpty),
        ("owner", Rule::NonEmpty),
        ("lifecycle", Rule::NonEmpty),
        ("parameters", Rule::OneOrMany(&PARAMETERS)),
        ("secrets", Rule::Object(&SECRETS)),
        ("presentation", Rule::Object(&PRESENTATION)),
        ("EXPERIMENTAL_recovery", Rule::Object(&RECOVERY)),
        ("formDecorators", Rule::Array(&Rule::Object(&DECORATOR))),
        (
            "EXPERIMENTAL_formDecorators",
            Rule::Array(&Rule::Object(&DECORATOR)),
        ),
        ("steps", Rule::Array(&Rule::Object(&STEP))),
        ("output", Rule::Object(&OUTPUT)),
    ],
    others: None,
};

/// The whole entity.
pub(crate) const TEMPLATE: &Object = &Object {
    required: &["spec"],
    fields: &[("spec", Rule::Object(&SPEC))],
    others: None,
};
