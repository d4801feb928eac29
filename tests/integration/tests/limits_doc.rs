//! Proves that docs/limits.md is true: every number in it is the code's, no limit of a call, of a component or of a tenant is
//! left out, and every row names a test or a program that breaks the limit.

use std::collections::BTreeSet;

use greenroom::config::Quotas;
use greenroom_integration_tests::documents::{
    Table, code_words, constant, programs, read, tables, test_names, wrong_test_names,
};
use greenroom_sandbox::{CallLimits, CompileLimits, ENGINE_CEILING};
use serde_json::{Map, Value, json};

const PAGE: &str = "docs/limits.md";

/// The only table whose limits are not broken in it: they are those of the first one.
const BUNDLED: &str = "bundled reader";

fn tables_with(column: &str) -> Vec<Table> {
    let found: Vec<Table> = tables(&read(PAGE))
        .into_iter()
        .filter(|table| table.columns[0] == column)
        .collect();
    assert!(!found.is_empty(), "{PAGE} has a table of `{column}`");
    found
}

/// The number in a cell.
fn number(cell: &str) -> u64 {
    cell.parse()
        .unwrap_or_else(|_| panic!("`{cell}` is no number"))
}

/// The name in a cell, and the file it links to.
fn name(cell: &str) -> &str {
    code_words(cell)[0]
}

fn fields(limits: CallLimits) -> Map<String, Value> {
    match json!(limits) {
        Value::Object(fields) => fields,
        other => panic!("{other} is no object"),
    }
}

/// Compares the rows of a table with what the code has, by name.
fn assert_same<'a>(rows: impl Iterator<Item = (&'a str, u64)>, code: &[(&str, u64)]) {
    let page: BTreeSet<(&str, u64)> = rows.collect();
    let code: BTreeSet<(&str, u64)> = code.iter().copied().collect();
    let only = |left: &BTreeSet<(&str, u64)>, right| {
        let only: Vec<String> = left
            .difference(right)
            .map(|one| format!("{one:?}"))
            .collect();
        only.join(", ")
    };
    assert_eq!(
        (only(&page, &code), only(&code, &page)),
        (String::new(), String::new()),
        "only in {PAGE}, and only in the code"
    );
}

#[test]
fn every_limit_of_a_call_has_its_default_and_ceiling() {
    let tables = tables_with("limit");
    for (column, limits) in [
        ("default", CallLimits::default()),
        ("ceiling", ENGINE_CEILING),
    ] {
        let fields = fields(limits);
        let code: Vec<(&str, u64)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_u64().expect("a number")))
            .collect();
        let rows = tables[0].rows.iter();
        assert_same(
            rows.map(|row| (name(&row[0]), number(tables[0].cell(row, column)))),
            &code,
        );
    }
}

#[test]
fn what_the_bundled_readers_have_more_is_told() {
    let table = &tables_with(BUNDLED)[0];
    let (usual, theirs) = (
        fields(CallLimits::default()),
        fields(CallLimits::location_reader()),
    );
    let code: Vec<(&str, u64)> = theirs
        .iter()
        .filter(|(name, value)| usual[*name] != **value)
        .map(|(name, value)| (name.as_str(), value.as_u64().expect("a number")))
        .collect();
    let rows = table.rows.iter();
    assert_same(
        rows.map(|row| (name(&row[0]), number(table.cell(row, "value")))),
        &code,
    );
}

#[test]
fn every_quota_has_its_default() {
    let Quotas {
        entities,
        processors,
        component_bytes,
        revisions_per_processor,
        uploads_per_minute,
        activations_per_minute,
        waiting_uploads,
        compile_seconds_per_hour,
        compile_cpu_seconds,
        thread_share,
        cpu_seconds_per_minute,
        // Of the other table: what it may be lowered from is the ceiling.
        call_limits,
    } = Quotas::default();
    assert_eq!(call_limits, ENGINE_CEILING);
    let code = [
        ("entities", entities),
        ("processors", processors),
        ("component_bytes", component_bytes),
        ("revisions_per_processor", revisions_per_processor),
        ("uploads_per_minute", uploads_per_minute),
        ("activations_per_minute", activations_per_minute),
        ("waiting_uploads", waiting_uploads),
        ("compile_seconds_per_hour", compile_seconds_per_hour),
        ("compile_cpu_seconds", u64::from(compile_cpu_seconds)),
        ("thread_share", thread_share),
        ("cpu_seconds_per_minute", cpu_seconds_per_minute),
    ];
    let table = &tables_with("quota")[0];
    let rows = table.rows.iter();
    assert_same(
        rows.map(|row| (name(&row[0]), number(table.cell(row, "default")))),
        &code,
    );
}

/// A linked constant is read from the file of its link; one without a link is a field of `CompileLimits`.
#[test]
fn every_constant_has_its_value() {
    let CompileLimits {
        component_bytes,
        functions,
        function_bytes,
        locals,
        blocks,
        branch_targets,
        types,
        globals,
        segments,
        nesting,
        memory_bytes,
        table_elements,
    } = CompileLimits::default();
    let code = [
        ("component_bytes", component_bytes as u64),
        ("functions", functions),
        ("function_bytes", function_bytes),
        ("locals", locals),
        ("blocks", blocks),
        ("branch_targets", branch_targets),
        ("types", types),
        ("globals", globals),
        ("segments", segments),
        ("nesting", nesting),
        ("memory_bytes", memory_bytes),
        ("table_elements", table_elements),
    ];
    let tables = tables_with("constant");
    let mut of_components = Vec::new();
    let mut wrong = Vec::new();
    for table in &tables {
        for row in &table.rows {
            let (name, told) = (name(&row[0]), number(table.cell(row, "value")));
            let link = row[0]
                .split_once("](../")
                .and_then(|(_, link)| link.strip_suffix(')'));
            match link {
                None => of_components.push((name, told)),
                Some(path) => {
                    let value = constant(path, name);
                    if value != told {
                        wrong.push(format!("{name} is {value} in {path}, not {told}"));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{PAGE} is wrong:\n  {}",
        wrong.join("\n  ")
    );
    assert_same(of_components.into_iter(), &code);
}

#[test]
fn every_row_names_what_breaks_the_limit() {
    let page = read(PAGE);
    let mut known = test_names();
    known.extend(programs());
    let wrong = wrong_test_names(&page, &known);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for table in tables(&page) {
        assert!(
            table.columns[0] == BUNDLED || table.column("broken by").is_some(),
            "`{}` does not say what breaks its limits",
            table.section
        );
    }
}
