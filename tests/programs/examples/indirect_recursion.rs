//! Two functions that call each other through pointers, twice each, to a depth that fits the stack: never done (c01).

use greenroom_test_programs::{Answer, Program, Request, program, say};
use std::hint::black_box;

type Step = fn(u64, u64) -> u64;

fn even(depth: u64, sum: u64) -> u64 {
    if depth == 0 {
        return sum;
    }
    let step: Step = black_box(odd);
    step(depth - 1, sum.wrapping_add(1)) ^ step(depth - 1, sum)
}

fn odd(depth: u64, sum: u64) -> u64 {
    if depth == 0 {
        return !sum;
    }
    let step: Step = black_box(even);
    step(depth - 1, sum.wrapping_mul(3)) ^ step(depth - 1, sum)
}

struct IndirectRecursion;

impl Program for IndirectRecursion {
    fn pre_process(request: Request) -> Answer {
        say(even(100, request.entity.len() as u64).to_string())
    }
}

program!(IndirectRecursion);
