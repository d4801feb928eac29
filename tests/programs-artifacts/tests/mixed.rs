//! Hostile programs mixed with honest calls, 100 000 in all, on two threads, in one sandbox. Honest results are those of a
//! quiet run to the byte, hostile ones end as they do alone, and nothing adds up: memory, slots, threads, descriptors.
//! Alone in its process, because it measures the process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot load its programs or measure its process fails"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use greenroom_model::{LocationRef, TenantId};
use greenroom_sandbox::{
    CallLimits, CompileLimits, GivenEntity, LoadedProcessor, PoolUse, Request, Sandbox,
    SandboxOptions, StageCall, compile,
};
use greenroom_test_artifacts::COMPONENTS;

const CALLS: u64 = 100_000;
/// Calls after which memory must not grow any more.
const SETTLED: u64 = CALLS / 5;
const GROWTH_BYTES: usize = 4 << 20;

/// Programs that answer, with a configuration each. The others are hostile.
const HONEST: [(&str, &str); 9] = [
    ("annotate", "{}"),
    ("cache_echo", "{}"),
    ("change_case", "{}"),
    ("emit_relations", "{}"),
    ("leak_global", "{}"),
    ("random_and_time", "{}"),
    ("seek_pattern", "{}"),
    ("slow_cpu", "1000"),
    ("use_memory", "1"),
];

/// A program, what it is called with, and what came of it when nothing else ran.
struct Cast {
    name: &'static str,
    honest: bool,
    processor: Arc<LoadedProcessor>,
    call: StageCall,
    limits: CallLimits,
    alone: String,
}

impl Cast {
    /// Each program is its own tenant's.
    fn new(sandbox: &Sandbox, tenant: i64, name: &'static str, path: &str) -> Cast {
        let config = HONEST.iter().find(|(honest, _)| *honest == name);
        let honest = config.is_some();
        let artifact = compile(&std::fs::read(path).unwrap(), &CompileLimits::default()).unwrap();
        let limits = CallLimits::default();
        let mut program = Cast {
            name,
            honest,
            processor: sandbox.load(Some(TenantId(tenant)), &artifact).unwrap(),
            call: call(config.map_or("{}", |(_, config)| config)),
            // What hostile programs may burn is cut, so that a hundred thousand calls take seconds.
            limits: if honest {
                limits
            } else {
                CallLimits {
                    fuel: 200_000,
                    memory_bytes: 2 << 20,
                    ..limits
                }
            },
            alone: String::new(),
        };
        program.alone = program.run(sandbox);
        assert_eq!(
            program.alone,
            program.run(sandbox),
            "`{name}` is the same twice"
        );
        program
    }

    /// All that is the same for the same request: outcome, fuel, memory, log. Of a fault that is not the same every time
    /// only its kind.
    fn run(&self, sandbox: &Sandbox) -> String {
        let called = sandbox
            .call(&self.processor, &self.call, &self.limits, [7; 32])
            .unwrap();
        match called.outcome.fault() {
            Some(fault) if self.honest => panic!("`{}` is honest: {fault:?}", self.name),
            Some(fault) if !fault.kind.is_deterministic() => fault.kind.to_string(),
            _ => format!(
                "{} {} {} {}",
                serde_json::to_string(&called.outcome).unwrap(),
                called.report.fuel,
                called.report.peak_memory_bytes,
                serde_json::to_string(&called.report.log).unwrap(),
            ),
        }
    }
}

#[test]
fn hostile_and_honest_calls_mixed_leave_nothing_and_change_nothing() {
    // Two slots for some fifty programs, so that slots change hands.
    let options = SandboxOptions {
        concurrent_calls: 2,
        ..SandboxOptions::default()
    };
    let sandbox = Sandbox::new(options).unwrap();
    let cast: Vec<Cast> = COMPONENTS
        .iter()
        .zip(0..)
        .map(|((name, path), tenant)| Cast::new(&sandbox, tenant, name, path))
        .collect();
    let (honest, hostile): (Vec<&Cast>, Vec<&Cast>) = cast.iter().partition(|cast| cast.honest);
    assert_eq!(honest.len(), HONEST.len());
    assert!(hostile.len() > 20);

    let run = |from: u64, to: u64| {
        let next = AtomicU64::new(from);
        let calls = || {
            loop {
                let count = next.fetch_add(1, Ordering::Relaxed);
                if count >= to {
                    break;
                }
                // Every second call is honest; whose is spread by a hash of its number.
                let hash = (count + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                let among = if count.is_multiple_of(2) {
                    &honest
                } else {
                    &hostile
                };
                let program = among[usize::try_from(hash).unwrap() % among.len()];
                let outcome = program.run(&sandbox);
                assert_eq!(outcome, program.alone, "call {count}: `{}`", program.name);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(calls);
            scope.spawn(calls);
        });
    };
    let alone = threads();
    run(0, SETTLED);
    let before = Process::measured();
    run(SETTLED, CALLS);
    let after = Process::measured();

    assert_eq!(
        sandbox.pool_use(),
        PoolUse::default(),
        "a slot is still taken"
    );
    // A thread that was joined leaves the list of the kernel a moment later.
    let given_up = Instant::now() + Duration::from_secs(10);
    while threads() > alone && Instant::now() < given_up {
        std::thread::yield_now();
    }
    assert_eq!(threads(), alone, "a thread is left");
    assert_eq!(
        after.descriptors, before.descriptors,
        "a descriptor is left"
    );
    let growth = after.resident_bytes.saturating_sub(before.resident_bytes);
    println!(
        "{CALLS} calls of {} programs, growth {growth} bytes",
        cast.len()
    );
    assert!(growth < GROWTH_BYTES, "grew by {growth} bytes");
}

fn call(config: &str) -> StageCall {
    let entity = r#"{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"web","annotations":{}}}"#;
    let location = LocationRef::new("url", "https://example.com/catalog-info.yaml");
    StageCall::PreProcess(Request {
        entity: GivenEntity::parse(entity).expect("it has a ref"),
        location: location.clone(),
        origin_location: location,
        config: config.into(),
        cache: None,
        reads: Vec::new(),
        integrations: Arc::from([]),
        now_ms: None,
    })
}

/// What the process holds.
struct Process {
    resident_bytes: usize,
    descriptors: usize,
}

impl Process {
    fn measured() -> Process {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        Process {
            resident_bytes: pages * 4096,
            descriptors: entries("/proc/self/fd"),
        }
    }
}

/// Threads of the process.
fn threads() -> usize {
    entries("/proc/self/task")
}

fn entries(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
