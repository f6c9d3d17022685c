//! The names of the keys.

use hemostat_agent::log::{Partition, StreamName};
use hemostat_event::Role;

/// The keys of one log.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    namespace: String,
}

impl Keys {
    /// Keys that begin with `namespace`; `None` when it would spoil the hash tags or the texts made of them.
    pub(crate) fn new(namespace: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_');
        let valid = (1..=64).contains(&namespace.len()) && namespace.chars().all(plain);
        valid.then(|| Self { namespace: namespace.to_owned() })
    }

    fn key(&self, partition: Partition, name: impl std::fmt::Display) -> String {
        format!("{}:{{{}}}:{name}", self.namespace, partition.0)
    }

    /// The sequence: the key from which a script makes the others.
    pub(crate) fn seq(&self, partition: Partition) -> String {
        self.key(partition, "seq")
    }

    /// What every key begins with, up to the number of its partition.
    pub(crate) fn prefix(&self) -> String {
        format!("{}:{{", self.namespace)
    }

    /// The key with this name, whatever it holds.
    pub(crate) fn named(&self, partition: Partition, name: &str) -> String {
        self.key(partition, name)
    }

    pub(crate) fn stream(&self, partition: Partition, stream: &StreamName) -> String {
        self.key(partition, stream)
    }

    pub(crate) fn streams(&self, partition: Partition) -> String {
        self.key(partition, "streams")
    }

    pub(crate) fn state(&self, partition: Partition, role: Role) -> String {
        self.key(partition, format_args!("state:{role}"))
    }

    pub(crate) fn agents(&self, partition: Partition) -> String {
        self.key(partition, "agents")
    }

    pub(crate) fn barrier(&self, partition: Partition) -> String {
        self.key(partition, "barrier")
    }

    pub(crate) fn meta(&self) -> String {
        self.key(Partition(0), "meta")
    }
}

#[cfg(test)]
mod tests;
