//! allocations.
