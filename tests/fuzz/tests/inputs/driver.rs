//! Runs a target over its inputs and watches it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use greenroom_fuzz::mutate::{mutated, touched};
use rustix::time::{ClockId, clock_gettime};

use crate::allocations::most_held;

/// CPU time one input may take, in seconds: far more than any should, since tests are built unoptimised.
const CPU_SECONDS: i64 = 10;

/// A target with what it is run with.
pub(crate) struct Target {
    name: &'static str,
    run: fn(&[u8]),
    seeds: Vec<Vec<u8>>,
    inputs: u64,
    make: fn(&[Vec<u8>], u64) -> Vec<u8>,
    memory_bytes: usize,
}

impl Target {
    /// A target with the seeds of `seeds/<name>/`, of which there must be some.
    pub(crate) fn new(name: &'static str, run: fn(&[u8])) -> Target {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(name);
        let mut files: Vec<_> = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("read the seeds of `{name}`: {error}"))
            .map(|entry| entry.expect("a seed").path())
            .collect();
        files.sort();
        let seeds: Vec<_> = files
            .iter()
            .map(|file| std::fs::read(file).expect("a seed"))
            .collect();
        assert!(!seeds.is_empty(), "`{name}` has no seeds");
        Target {
            name,
            run,
            seeds,
            inputs: 1_000,
            make: mutated,
            memory_bytes: 32 << 20,
        }
    }

    /// The seeds.
    pub(crate) fn seeds(&self) -> &[Vec<u8>] {
        &self.seeds
    }

    /// Adds a seed that is made and not kept.
    pub(crate) fn seed(mut self, seed: Vec<u8>) -> Target {
        self.seeds.push(seed);
        self
    }

    /// Inputs made from the seeds, beside the seeds.
    pub(crate) fn inputs(mut self, inputs: u64) -> Target {
        self.inputs = inputs;
        self
    }

    /// Changes single bytes of the largest seed, and nothing else.
    pub(crate) fn touched_only(mut self) -> Target {
        self.make = touched;
        self
    }

    /// Most bytes of heap one input may take; 32 MiB.
    pub(crate) fn memory(mut self, bytes: usize) -> Target {
        self.memory_bytes = bytes;
        self
    }

    pub(crate) fn run(self) {
        // What is made once, such as an engine, is not charged to an input.
        if let Some(seed) = self.seeds.first() {
            (self.run)(seed);
        }
        let (mut most, mut slowest_ms) = (0, 0);
        for (index, seed) in self.seeds.iter().enumerate() {
            let (bytes, ms) = self.watched(seed, &format!("seed {index}"));
            (most, slowest_ms) = (most.max(bytes), slowest_ms.max(ms));
        }
        for number in 0..self.inputs {
            let input = (self.make)(&self.seeds, number);
            let (bytes, ms) = self.watched(&input, &format!("input {number}"));
            (most, slowest_ms) = (most.max(bytes), slowest_ms.max(ms));
        }
        println!(
            "`{}`: {} seeds and {} inputs, at most {most} bytes of heap and {slowest_ms} ms",
            self.name,
            self.seeds.len(),
            self.inputs
        );
    }

    /// Runs one input; gives the heap and the milliseconds of CPU it took.
    fn watched(&self, input: &[u8], what: &str) -> (usize, i64) {
        let shown = || {
            let start = &input[..input.len().min(6_000)];
            let cut = if start.len() < input.len() {
                " (its first 6 000 bytes)"
            } else {
                ""
            };
            format!(
                "`{}`, {what}, base64{cut}: {}",
                self.name,
                STANDARD.encode(start)
            )
        };
        let before = cpu_ms();
        let mut panicked = false;
        let bytes = most_held(|| {
            panicked = catch_unwind(AssertUnwindSafe(|| (self.run)(input))).is_err();
        });
        let ms = cpu_ms() - before;
        assert!(!panicked, "panicked: {}", shown());
        assert!(
            bytes <= self.memory_bytes,
            "held {bytes} bytes: {}",
            shown()
        );
        assert!(ms <= CPU_SECONDS * 1_000, "took {ms} ms: {}", shown());
        (bytes, ms)
    }
}

fn cpu_ms() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}
