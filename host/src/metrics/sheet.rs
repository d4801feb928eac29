//! The values of a process's metrics.
//!
//! A series is found by its label values, and there are never more than the list allows: an open label that is new when there
//! is no room is counted as [`OTHER`]. Which values are shown is decided by who comes first, and none is ever forgotten while
//! the process lives, because a counter that vanishes and returns is a lie.
//!
//! What is told to another process are differences, so that nothing is counted twice however often it is said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::list::{Kind, Metric, Spec};
use super::text;

/// Values of open labels (pairs, where there are two) that a metric shows.
pub(super) const MAX_OPEN: usize = 500;
/// Of those, the most that share the first label: no tenant takes the room of all.
pub(super) const MAX_OF_ONE: usize = 25;
/// Characters of a label's value; the rest is cut off.
const MAX_VALUE_CHARS: usize = 128;
/// The value of an open label that is not shown by itself.
const OTHER: &str = "other";
/// Between the values of a key; no value holds it.
const SEPARATOR: char = '\u{1f}';

/// The values of a process; shared by all its parts.
pub struct Sheet {
    families: Box<[Mutex<Family>]>,
    /// What is measured when somebody looks.
    measures: Mutex<Vec<Measure>>,
}

type Measure = Box<dyn Fn(&Sheet) + Send + Sync>;

/// The series of one metric.
#[derive(Debug, Default)]
struct Family {
    series: BTreeMap<String, Series>,
    /// The open parts of their keys.
    open: BTreeSet<String>,
}

/// One value, or the counts of a histogram beside the sum of what was observed.
#[derive(Debug, Clone, Default)]
struct Series {
    now: Value,
    told: Value,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Value {
    sum: f64,
    buckets: Vec<u64>,
}

/// What has changed in a process since it told last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Told(pub Vec<Change>);

/// By how much one series has changed; of a peak, its new value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The metric's name.
    #[serde(rename = "m")]
    pub metric: String,
    /// Its label values.
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The difference.
    #[serde(rename = "v")]
    pub sum: f64,
    /// Of a histogram, the differences of its counts.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<u64>,
}

impl Default for Sheet {
    fn default() -> Self {
        Self {
            families: Metric::ALL.iter().map(|_| Mutex::default()).collect(),
            measures: Mutex::default(),
        }
    }
}

impl std::fmt::Debug for Sheet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sheet")
    }
}

impl Sheet {
    /// Adds to a counter or gauge.
    pub fn add(&self, metric: Metric, labels: &[&str], more: f64) {
        self.change(metric, labels, |value| value.sum += more);
    }

    /// Sets a gauge.
    pub fn set(&self, metric: Metric, labels: &[&str], value: f64) {
        self.change(metric, labels, |series| series.sum = value);
    }

    /// Raises a peak.
    pub fn raise(&self, metric: Metric, labels: &[&str], value: f64) {
        self.change(metric, labels, |series| series.sum = series.sum.max(value));
    }

    /// Notes an observation in a histogram.
    pub fn observe(&self, metric: Metric, labels: &[&str], seconds: f64) {
        self.change(metric, labels, |value| {
            let bucket = Spec::BUCKETS.iter().position(|bound| seconds <= *bound);
            value.buckets.resize(Spec::BUCKETS.len() + 1, 0);
            value.buckets[bucket.unwrap_or(Spec::BUCKETS.len())] += 1;
            value.sum += seconds;
        });
    }

    /// Puts these values in place of all there were of a gauge.
    pub fn replace<'a>(
        &self,
        metric: Metric,
        values: impl IntoIterator<Item = (&'a [&'a str], f64)>,
    ) {
        let mut family = self.family(metric);
        let mut old = std::mem::take(&mut *family);
        for (labels, value) in values {
            let key = family.key(metric.spec(), labels);
            let told = old.series.remove(&key).unwrap_or_default().told;
            family
                .series
                .entry(key)
                .or_insert_with(|| Series {
                    told,
                    ..Series::default()
                })
                .now
                .sum += value;
        }
    }

    fn change(&self, metric: Metric, labels: &[&str], change: impl FnOnce(&mut Value)) {
        let mut family = self.family(metric);
        let key = family.key(metric.spec(), labels);
        change(&mut family.series.entry(key).or_default().now);
    }

    fn family(&self, metric: Metric) -> MutexGuard<'_, Family> {
        self.families[metric as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures something whenever somebody looks. What is measured may hold this sheet, so hand over a weak reference to it.
    pub fn measure(&self, measure: impl Fn(&Sheet) + Send + Sync + 'static) {
        let mut measures = self.measures.lock().unwrap_or_else(PoisonError::into_inner);
        measures.push(Box::new(measure));
    }

    fn look(&self) {
        let measures = self.measures.lock().unwrap_or_else(PoisonError::into_inner);
        for measure in &*measures {
            measure(self);
        }
    }

    /// What has changed since this was asked last.
    pub fn changes(&self) -> Told {
        self.look();
        let mut changes = Vec::new();
        for metric in Metric::ALL {
            let spec = metric.spec();
            for (key, series) in &mut self.family(*metric).series {
                if series.now == series.told {
                    continue;
                }
                let before = std::mem::replace(&mut series.told, series.now.clone());
                changes.push(Change {
                    metric: spec.name.to_owned(),
                    labels: values_of(spec, key).map(str::to_owned).collect(),
                    sum: match spec.kind {
                        Kind::Peak => series.now.sum,
                        Kind::Counter | Kind::Gauge | Kind::Histogram => {
                            series.now.sum - before.sum
                        }
                    },
                    buckets: difference(&series.now.buckets, &before.buckets),
                });
            }
        }
        Told(changes)
    }

    /// Adds what another process told. What no metric of ours is, is left out.
    pub fn merge(&self, told: &Told) {
        for change in &told.0 {
            let metric = Metric::ALL
                .iter()
                .find(|metric| metric.spec().name == change.metric);
            let labels: Vec<&str> = change.labels.iter().map(String::as_str).collect();
            let Some(metric) = metric.filter(|one| one.spec().labels().count() == labels.len())
            else {
                continue;
            };
            if metric.spec().kind == Kind::Peak {
                self.raise(*metric, &labels, change.sum);
                continue;
            }
            self.change(*metric, &labels, |value| {
                value.sum += change.sum;
                let most = Spec::BUCKETS.len() + 1;
                if !change.buckets.is_empty() {
                    value.buckets.resize(most, 0);
                }
                for (count, more) in value.buckets.iter_mut().zip(&change.buckets) {
                    *count = count.saturating_add(*more);
                }
            });
        }
    }

    /// Takes back the gauges of a process that is gone; `of` is what it had told.
    pub fn take_back(&self, of: &Sheet) {
        for metric in Metric::ALL {
            if metric.spec().kind != Kind::Gauge {
                continue;
            }
            for (key, series) in &of.family(*metric).series {
                let labels: Vec<&str> = values_of(metric.spec(), key).collect();
                self.add(*metric, &labels, -series.now.sum);
            }
        }
    }

    /// The value of a series, if it is there; for tests and for what is derived from it.
    pub fn value(&self, metric: Metric, labels: &[&str]) -> Option<f64> {
        let family = self.family(metric);
        family.series.get(&joined(labels)).map(|one| one.now.sum)
    }

    /// The value of a series that counts; 0 if it is not there.
    pub fn count(&self, metric: Metric, labels: &[&str]) -> u64 {
        self.value(metric, labels).unwrap_or_default() as u64
    }

    /// All of it as OpenMetrics text.
    pub fn text(&self) -> String {
        self.look();
        let mut out = String::new();
        for metric in Metric::ALL {
            let spec = metric.spec();
            let family = self.family(*metric);
            if family.series.is_empty() {
                continue;
            }
            text::head(&mut out, spec);
            for (key, series) in &family.series {
                let labels: Vec<(&str, &str)> = spec.labels().zip(values_of(spec, key)).collect();
                text::series(&mut out, spec, &labels, series.now.sum, &series.now.buckets);
            }
        }
        out.push_str("# EOF\n");
        out
    }
}

impl Family {
    /// The key of a series, with `other` in place of what there is no room for.
    fn key(&mut self, spec: &Spec, labels: &[&str]) -> String {
        debug_assert_eq!(labels.len(), spec.labels().count(), "{}", spec.name);
        let (open, closed) = labels.split_at(spec.open.len().min(labels.len()));
        if open.is_empty() {
            return joined(labels);
        }
        let prefix = joined(open);
        if !self.open.contains(&prefix) {
            let first = cut(open[0]);
            let of_first = |other: &&String| other.split(SEPARATOR).next() == Some(first.as_str());
            if self.open.len() >= MAX_OPEN {
                let others = vec![OTHER; open.len()];
                return joined(&[&others, closed].concat());
            }
            if open.len() > 1 && self.open.iter().filter(of_first).count() >= MAX_OF_ONE {
                return joined(&[&[first.as_str(), OTHER], closed].concat());
            }
            self.open.insert(prefix);
        }
        joined(labels)
    }
}

fn joined(labels: &[&str]) -> String {
    let mut key = String::new();
    for (index, label) in labels.iter().enumerate() {
        if index > 0 {
            key.push(SEPARATOR);
        }
        key.push_str(&cut(label));
    }
    key
}

/// The values of a key; none of a metric without labels.
fn values_of<'k>(spec: &Spec, key: &'k str) -> impl Iterator<Item = &'k str> {
    key.split(SEPARATOR).take(spec.labels().count())
}

/// A label's value as it is kept: of bounded length, with a mark where it was cut, and without the separator.
fn cut(value: &str) -> String {
    let mut kept: String = value
        .chars()
        .take(MAX_VALUE_CHARS)
        .map(|c| if c == SEPARATOR { ' ' } else { c })
        .collect();
    if kept.len() < value.len() {
        kept.push('…');
    }
    kept
}

fn difference(now: &[u64], before: &[u64]) -> Vec<u64> {
    let before = before.iter().copied().chain(std::iter::repeat(0));
    now.iter()
        .zip(before)
        .map(|(now, before)| now.saturating_sub(before))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_tell_adds_up_and_gauges_of_the_gone_are_taken_back() {
        let (worker, serve) = (Sheet::default(), Sheet::default());
        let of_worker = Sheet::default();
        let labels = ["acme", "p", "answered"];
        worker.add(Metric::Calls, &labels, 3.0);
        worker.set(Metric::GuestThreads, &[], 2.0);
        worker.raise(Metric::CallPeakMemory, &["acme", "p"], 7.0);
        worker.observe(Metric::ProcessingDuration, &["changed"], 0.02);
        let tell = || {
            let told = worker.changes();
            let line = serde_json::to_string(&told).unwrap();
            let told = serde_json::from_str(&line).unwrap();
            serve.merge(&told);
            of_worker.merge(&told);
        };
        tell();
        worker.add(Metric::Calls, &labels, 2.0);
        worker.raise(Metric::CallPeakMemory, &["acme", "p"], 5.0);
        worker.observe(Metric::ProcessingDuration, &["changed"], 9999.0);
        tell();
        assert_eq!(worker.changes(), Told::default(), "all was told");
        // Another worker, which counts from nothing and is still there.
        let other = Sheet::default();
        other.add(Metric::Calls, &labels, 1.0);
        other.set(Metric::GuestThreads, &[], 2.0);
        serve.merge(&other.changes());
        serve.take_back(&of_worker);
        assert_eq!(serve.value(Metric::Calls, &labels), Some(6.0));
        assert_eq!(serve.value(Metric::GuestThreads, &[]), Some(2.0));
        let peak = serve.value(Metric::CallPeakMemory, &["acme", "p"]);
        assert_eq!(peak, Some(7.0));
        let text = serve.text();
        for line in [
            "catalog_processing_duration_seconds_bucket{result=\"changed\",le=\"0.005\"} 0",
            "catalog_processing_duration_seconds_bucket{result=\"changed\",le=\"0.025\"} 1",
            "catalog_processing_duration_seconds_bucket{result=\"changed\",le=\"+Inf\"} 2",
            "catalog_processing_duration_seconds_count{result=\"changed\"} 2",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn q07_a_thousand_tenants_and_ten_thousand_names_make_a_bounded_number_of_series() {
        let sheet = Sheet::default();
        for tenant in 0..1_000 {
            let tenant = format!("tenant-{tenant}");
            for processor in 0..10 {
                let labels = [tenant.as_str(), &format!("p{processor}"), "answered"];
                sheet.add(Metric::Calls, &labels, 1.0);
            }
        }
        let kinds: Vec<String> = (0..10_000).map(|kind| format!("kind{kind}")).collect();
        let counts: Vec<[&str; 1]> = kinds.iter().map(|kind| [kind.as_str()]).collect();
        sheet.replace(
            Metric::Entities,
            counts.iter().map(|labels| (labels.as_slice(), 2.0)),
        );
        let text = sheet.text();
        let of = |name: &str| {
            text.lines()
                .filter(|line| line.starts_with(name))
                .collect::<Vec<_>>()
        };
        let calls = of("greenroom_processor_calls_total");
        assert_eq!(calls.len(), MAX_OPEN + 1);
        let other = sheet.value(Metric::Calls, &[OTHER, OTHER, "answered"]);
        assert_eq!(other, Some(10_000.0 - 500.0), "the rest is `other`");
        assert_eq!(of("catalog_entities_count{").len(), MAX_OPEN + 1);
        assert_eq!(sheet.value(Metric::Entities, &[OTHER]), Some(2.0 * 9_500.0));
        // Known ones are still told apart.
        sheet.add(Metric::Calls, &["tenant-0", "p0", "deadline"], 1.0);
        let known = sheet.value(Metric::Calls, &["tenant-0", "p0", "deadline"]);
        assert_eq!(known, Some(1.0));
    }

    #[test]
    fn q07_one_tenant_does_not_take_the_room_of_all() {
        let sheet = Sheet::default();
        for processor in 0..1_000 {
            let labels = ["greedy", &format!("p{processor}")];
            sheet.add(Metric::CallFuel, &labels, 1.0);
        }
        sheet.add(Metric::CallFuel, &["modest", "p"], 1.0);
        let shared = sheet.value(Metric::CallFuel, &["greedy", OTHER]);
        assert_eq!(shared, Some(1_000.0 - 25.0));
        let modest = sheet.value(Metric::CallFuel, &["modest", "p"]);
        assert_eq!(modest, Some(1.0));
    }

    #[test]
    fn a_gauge_that_is_replaced_forgets_what_is_gone() {
        let sheet = Sheet::default();
        sheet.replace(Metric::Entities, [(["a"].as_slice(), 1.0)]);
        sheet.replace(Metric::Entities, [(["b"].as_slice(), 2.0)]);
        assert_eq!(sheet.value(Metric::Entities, &["a"]), None);
        assert_eq!(sheet.value(Metric::Entities, &["b"]), Some(2.0));
    }
}
