//! Under construction (queue side).
