//! The names of the keys, and which partition a host is in.

use hemostat_agent::log::{Partition, StreamName};
use hemostat_event::{EventType, HostName, Role};

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

    pub(crate) fn meta(&self) -> String {
        self.key(Partition(0), "meta")
    }
}

/// Reads the name of a stream as it stands in its key.
pub(crate) fn stream_name(text: &str) -> Option<StreamName> {
    match text.split_once(':') {
        Some((kind, host)) if kind == EventType::RemediationNeeded.as_str() => {
            HostName::new(host).ok().map(StreamName::Plans)
        }
        Some(_) => None,
        None => text.parse().ok().map(StreamName::Type),
    }
}

/// The partition of `host` among `partitions`.
pub(crate) fn partition_of(host: &HostName, partitions: u16) -> Partition {
    Partition(crc16(host.as_str().as_bytes()) % partitions.max(1))
}

/// CRC-16/XMODEM, the one by which Redis Cluster chooses slots. Bit by bit: host names are short, and this runs
/// once for an event.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _bit| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests;
