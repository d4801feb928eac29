//! `docs/metrics.md`, made from the list.

use super::list::{Kind, Metric, Source};
use super::sheet::{MAX_OF_ONE, MAX_OPEN};

const HEAD: &str = "# Metrics

Made from the code by `greenroom metrics`; a test compares them. `/metrics` is OpenMetrics text on a listener of its own,
`--metrics-listen` (127.0.0.1:7008 unless told), of `greenroom serve` and of a `greenroom worker` that runs alone. A worker that is a
child of `serve` has no listener: `serve` shows what it counts. The probes answer on that listener too.

The names are those of Backstage's catalog where it has such a metric. A counter's samples end in `_total`, a histogram's in
`_bucket`, `_sum` and `_count`. What the *database* says is the same from every process of a cluster: take the maximum over
processes, not the sum. It is asked when somebody scrapes, at most every 30 s.
";

/// The page.
pub fn page() -> String {
    let mut page = String::from(HEAD);
    page.push_str(&format!(
        "
A metric with the labels `tenant`, `processor` or `kind` shows the first {MAX_OPEN} of them, and of one tenant the first {MAX_OF_ONE}; what comes
after is counted together as `other`, so that no tenant decides how many series there are. The whole is in the API: `…/usage`,
`…/processing` and `…/processors` of each tenant.
"
    ));
    for (source, title) in [
        (Source::Worker, "Workers"),
        (Source::Api, "The API"),
        (Source::Process, "Every process"),
        (Source::Database, "The database"),
    ] {
        page.push_str(&format!(
            "\n## {title}\n\n| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n"
        ));
        for metric in Metric::ALL {
            let spec = metric.spec();
            if spec.source != source {
                continue;
            }
            let (kind, suffix) = match spec.kind {
                Kind::Counter => ("counter", "_total"),
                Kind::Gauge => ("gauge", ""),
                Kind::Peak => ("gauge (highest since the start)", ""),
                Kind::Histogram => ("histogram", ""),
            };
            let labels: Vec<String> = spec.labels().map(|label| format!("`{label}`")).collect();
            page.push_str(&format!(
                "| `{}{suffix}` | {kind} | {} | {} |\n",
                spec.name,
                labels.join(", "),
                spec.help
            ));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_the_one_in_docs() {
        let written = include_str!("../../../docs/metrics.md");
        assert_eq!(
            super::page(),
            written,
            "run `greenroom metrics > docs/metrics.md`"
        );
    }
}
