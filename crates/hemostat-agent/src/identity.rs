//! Names that nobody else has.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// `name` with something behind it that no other process has: in containers all of them see the same host and are
/// process 1, and people give names twice.
#[must_use]
pub fn unique(name: &str) -> String {
    // The keys of a hasher are random, and differ within a process too.
    let random = RandomState::new().build_hasher().finish();
    format!("{name}-{:08x}", random >> 32)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_names_are_the_same() {
        let names: std::collections::BTreeSet<_> = (0..100).map(|_| super::unique("host-1")).collect();
        assert_eq!(names.len(), 100);
    }
}
