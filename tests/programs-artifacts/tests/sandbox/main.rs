//! The sandbox against real components: what guests do (`faults`) and what is uploaded (`uploads`).

mod faults;
mod support;
mod uploads;
