//! The catalog that Backstage was measured with, so that figures can be compared: for `n` Components (some 1.3 kB of JSON each,
//! with annotations, labels, tags, links, an owner, a system and two dependencies) also `n / 20` Systems, `n / 50` Groups and
//! `n / 200` Domains.

use serde_json::{Value, json};

const AREAS: [&str; 8] = [
    "checkout", "search", "identity", "billing", "delivery", "growth", "ads", "insight",
];
const LIFECYCLES: [&str; 3] = ["production", "experimental", "deprecated"];
const TAGS: [&str; 12] = [
    "java",
    "go",
    "python",
    "typescript",
    "kafka",
    "grpc",
    "rest",
    "pci",
    "edge",
    "batch",
    "ml",
    "legacy",
];
const TYPES: [&str; 5] = ["service", "website", "library", "pipeline", "job"];

/// A catalog of so many Components.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Catalog {
    pub(crate) components: usize,
}

impl Catalog {
    fn systems(self) -> usize {
        (self.components / 20).max(1)
    }

    fn groups(self) -> usize {
        (self.components / 50).max(1)
    }

    fn domains(self) -> usize {
        (self.components / 200).max(1)
    }

    /// How many entities it has.
    pub(crate) fn len(self) -> usize {
        self.domains() + self.groups() + self.systems() + self.components
    }

    /// All of them.
    pub(crate) fn entities(self) -> impl Iterator<Item = Value> {
        let domains = (0..self.domains()).map(move |i| self.domain(i));
        let groups = (0..self.groups()).map(group);
        let systems = (0..self.systems()).map(move |i| self.system(i));
        let components = (0..self.components).map(move |i| self.component(i));
        domains.chain(groups).chain(systems).chain(components)
    }

    fn domain(self, i: usize) -> Value {
        json!({
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Domain",
            "metadata": {"name": format!("domain-{i:06}"), "annotations": location("org")},
            "spec": {"owner": self.owner(i)},
        })
    }

    fn system(self, i: usize) -> Value {
        json!({
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "System",
            "metadata": {
                "name": format!("system-{i:06}"),
                "description": format!("System {i}"),
                "annotations": location("org"),
            },
            "spec": {"owner": self.owner(i), "domain": format!("domain-{:06}", i % self.domains())},
        })
    }

    fn component(self, i: usize) -> Value {
        let name = format!("comp-{i:06}");
        let area = AREAS[i % AREAS.len()];
        let mut annotations = location(&name);
        for (key, value) in [
            ("example.com/project-slug", format!("org/{name}")),
            ("example.com/pager-key", format!("pd-{:x}", scrambled(i))),
            (
                "example.com/dashboard",
                format!("https://grafana.example.com/d/{name}"),
            ),
            ("example.com/ci-pipeline", format!("org/{name}/main")),
            ("example.com/cost-centre", format!("cc-{}", i % 40)),
        ] {
            annotations[key] = Value::String(value);
        }
        let depends_on =
            [1, 7].map(|by| format!("component:default/comp-{:06}", (i + by) % self.components));
        let tags = [0, 1, 2, 3].map(|by| TAGS[(i + by * 5) % TAGS.len()]);
        json!({
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Component",
            "metadata": {
                "name": name,
                "title": format!("Component {i}"),
                "description": format!(
                    "Component number {i} of the generated catalog. It serves the {area} area and exists so that search rows, \
                     relations and stitched documents have a realistic size."
                ),
                "labels": {"example.com/tier": format!("t{}", i % 4), "example.com/region": format!("r{}", i % 7)},
                "annotations": annotations,
                "tags": tags,
                "links": [
                    {"url": format!("https://grafana.example.com/d/{name}"), "title": "Dashboard", "icon": "dashboard"},
                    {"url": format!("https://docs.example.com/{name}"), "title": "Runbook", "icon": "docs"},
                ],
            },
            "spec": {
                "type": TYPES[i % TYPES.len()],
                "lifecycle": LIFECYCLES[i % LIFECYCLES.len()],
                "owner": self.owner(i),
                "system": format!("system:default/system-{:06}", i % self.systems()),
                "dependsOn": depends_on,
            },
        })
    }

    fn owner(self, i: usize) -> String {
        format!("group:default/team-{:06}", i % self.groups())
    }
}

fn group(i: usize) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Group",
        "metadata": {"name": format!("team-{i:06}"), "annotations": location("org")},
        "spec": {
            "type": "team",
            "profile": {"displayName": format!("Team {i}"), "email": format!("team-{i}@example.com")},
            "children": [],
        },
    })
}

fn location(path: &str) -> Value {
    let url = format!("url:https://git.example.com/org/{path}/blob/main/catalog-info.yaml");
    json!({"backstage.io/managed-by-location": url, "backstage.io/managed-by-origin-location": url})
}

/// The low 32 bits of a multiplication: numbers that do not look like their neighbours.
fn scrambled(i: usize) -> u32 {
    (i as u64).wrapping_mul(2_654_435_761) as u32
}
