//! Proves what happens to an entity, row by row of docs/processing.md: on the real host, over HTTP, with the bundled processors
//! and real guests, and on every storage backend there is. What a row says of the stages of one run alone, or of a transition
//! in storage alone, is proved where that lives; the rows name those tests too.
//!
//! A scenario is a function of the backend and has a tenant of its own (see [`tenant`]). The guest that most of them use does
//! what the entity asks for, so that a scenario shows cause and effect in one place.

#[path = "scenarios/emissions.rs"]
mod emissions;
#[path = "scenarios/inputs.rs"]
mod inputs;
#[path = "scenarios/locations.rs"]
mod locations;
#[path = "scenarios/ownership.rs"]
mod ownership;
#[path = "scenarios/providers.rs"]
mod providers;
#[path = "scenarios/reads.rs"]
mod reads;
#[path = "scenarios/removal.rs"]
mod removal;
#[path = "scenarios/rules.rs"]
mod rules;
#[path = "scenarios/stages.rs"]
mod stages;
#[path = "scenarios/tenant.rs"]
mod tenant;
