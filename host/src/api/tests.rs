//! The edge through its router, over a real SQLite catalog.

mod access;
mod admin;
mod catalog;
mod host;
mod processors;
