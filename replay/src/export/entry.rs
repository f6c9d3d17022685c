//! What is known of one entry of the log: the event, or what is left of it.

use hemostat_archive::{Body, Digest, Record};
use hemostat_event::codec::{self, Header};
use hemostat_event::{Envelope, Event, EventType};
use serde::{Deserialize, Serialize};

/// An entry, and where it stands.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The partition.
    pub partition: u16,
    /// The number in its sequence.
    pub seq: u64,
    /// Log time in milliseconds since 1970.
    pub log_ms: u64,
    /// The type of its stream, which is known of every entry.
    pub kind: EventType,
    /// What it held.
    pub content: Content,
}

/// What an entry held, as far as it is known.
#[derive(Debug)]
pub(crate) enum Content {
    /// The event.
    Event(Box<Event>),
    /// The body was taken out of the archive; its digest is left.
    Taken { header: Option<Box<Header>>, digest: Digest },
    /// Its time is over; the leaf is left.
    Leaf(Digest),
    /// The bytes, and why they are no event of this version.
    Undecodable { header: Option<Box<Header>>, bytes: Vec<u8>, error: String },
}

/// How much of an entry there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// All of it.
    Whole,
    /// The body was taken out.
    BodyTaken,
    /// Only the leaf is left.
    LeafOnly,
    /// It cannot be decoded.
    Undecodable,
}

impl State {
    /// The word in the files.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::BodyTaken => "body_taken",
            Self::LeafOnly => "leaf_only",
            Self::Undecodable => "undecodable",
        }
    }
}

impl Entry {
    /// Reads a record.
    pub(crate) fn read(partition: u16, record: &Record) -> Self {
        let content = match &record.body {
            Body::Leaf(leaf) => Content::Leaf(*leaf),
            Body::Taken { header, digest } => {
                Content::Taken { header: codec::header(header).ok().map(Box::new), digest: *digest }
            }
            Body::Whole { header, body, .. } => {
                let bytes = [&header[..], &body[..]].concat();
                match codec::decode(&bytes) {
                    Ok(event) => Content::Event(Box::new(event)),
                    Err(error) => Content::Undecodable {
                        header: codec::header(header).ok().map(Box::new),
                        bytes,
                        error: error.to_string(),
                    },
                }
            }
        };
        Self { partition, seq: record.seq, log_ms: record.id.ms, kind: record.stream.event_type(), content }
    }

    /// The attributes, where they can be read.
    pub(crate) fn envelope(&self) -> Option<&Envelope> {
        match &self.content {
            Content::Event(event) => Some(&event.envelope),
            Content::Taken { header, .. } | Content::Undecodable { header, .. } => {
                header.as_ref().map(|header| &header.envelope)
            }
            Content::Leaf(_) => None,
        }
    }

    /// The word of the type: that of the header, or that of the stream where there is none.
    pub(crate) fn type_word(&self) -> &str {
        match &self.content {
            Content::Taken { header: Some(header), .. }
            | Content::Undecodable { header: Some(header), .. } => &header.kind,
            _ => self.kind.as_str(),
        }
    }

    /// How much of it there is.
    pub(crate) const fn state(&self) -> State {
        match self.content {
            Content::Event(_) => State::Whole,
            Content::Taken { .. } => State::BodyTaken,
            Content::Leaf(_) => State::LeafOnly,
            Content::Undecodable { .. } => State::Undecodable,
        }
    }
}
