//! Where things stand in the log: partitions, streams, entries.

use std::fmt;
use std::str::FromStr;

use hemostat_event::{Event, EventType, HostName, Timestamp, UnknownType};

/// A part of the log that is ordered in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u16);

impl Partition {
    /// The partition of `host` in a log of `count` partitions: the CRC16 of its name, which Redis Cluster uses for
    /// its slots, modulo `count`.
    ///
    /// # Panics
    /// When `count` is 0: a log has at least one partition.
    #[must_use]
    pub fn of(host: &HostName, count: u16) -> Self {
        Self(crc16(host.as_str().as_bytes()) % count)
    }
}

/// CRC16-XMODEM, by which partitions are chosen, and the slots of Redis Cluster.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _bit| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// A stream within a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamName {
    /// All events of a type.
    Type(EventType),
    /// The plans for one host: only a responder that reaches that engine may take them.
    Plans(HostName),
}

impl StreamName {
    /// The stream that `event` belongs to.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match event.event_type() {
            EventType::RemediationNeeded => Self::Plans(event.envelope.host.clone()),
            kind => Self::Type(kind),
        }
    }

    /// The host whose events alone are in it.
    #[must_use]
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::Type(_) => None,
            Self::Plans(host) => Some(host),
        }
    }

    /// The type of the events in it.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        match self {
            Self::Type(kind) => *kind,
            Self::Plans(_) => EventType::RemediationNeeded,
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(kind) => write!(f, "{kind}"),
            Self::Plans(host) => write!(f, "{}:{host}", EventType::RemediationNeeded),
        }
    }
}

impl FromStr for StreamName {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        match text.split_once(':') {
            Some((kind, host)) if kind == EventType::RemediationNeeded.as_str() => {
                HostName::new(host).map(Self::Plans).map_err(|_invalid| UnknownType(text.to_owned()))
            }
            _ => text.parse().map(Self::Type),
        }
    }
}

/// Position of an entry within its stream: log time in milliseconds and a counter, written `ms-n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId {
    /// Milliseconds of log time at the append.
    pub ms: u64,
    /// Counter within the millisecond.
    pub n: u64,
}

impl EntryId {
    /// Before every entry.
    pub const ZERO: Self = Self { ms: 0, n: 0 };
    /// After every entry.
    pub const MAX: Self = Self { ms: u64::MAX, n: u64::MAX };

    /// Log time of the append.
    #[must_use]
    pub fn time(self) -> Timestamp {
        Timestamp::from_millis(self.ms)
    }

    /// The position just before this one.
    #[must_use]
    pub fn before(self) -> Self {
        match (self.ms, self.n) {
            (0, 0) => self,
            (ms, 0) => Self { ms: ms - 1, n: u64::MAX },
            (ms, n) => Self { ms, n: n - 1 },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.n)
    }
}

/// A text that is not `ms-n`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an entry id (milliseconds-counter)")]
pub struct EntryIdError(String);

impl FromStr for EntryId {
    type Err = EntryIdError;

    fn from_str(text: &str) -> Result<Self, EntryIdError> {
        let parse = || {
            let (ms, n) = text.split_once('-')?;
            Some(Self { ms: ms.parse().ok()?, n: n.parse().ok()? })
        };
        parse().ok_or_else(|| EntryIdError(text.to_owned()))
    }
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryRef {
    /// The partition.
    pub partition: Partition,
    /// The stream within it.
    pub stream: StreamName,
    /// The position within the stream.
    pub id: EntryId,
}

#[cfg(test)]
mod tests;
