//! invariant
