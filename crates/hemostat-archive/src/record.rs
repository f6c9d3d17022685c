//! One entry of the log, as the archive keeps it.
//!
//! The stored bytes of an event stand here as the log had them, header and body apart (`hemostat_event::codec`), so
//! events of other versions are kept too, and a body can go without the header.
//!
//! In a frame an entry is, integers in little endian:
//!
//! ```text
//! kind     u8      0 whole, 1 body taken out, 2 only the leaf; bits 4 to 6: prev, for, redrive follow
//! seq      u64
//! id       u64 u64 milliseconds, counter
//! stream   u16 n, n bytes
//! prev     u64 u64            where bit 4 is set
//! for      u16 n, n bytes     where bit 5 is set
//! redrive  16 bytes           where bit 6 is set
//! whole:   salt 16 bytes; header u32 n, n bytes; body u32 n, n bytes
//! taken:   body digest 32 bytes; header u32 n, n bytes
//! leaf:    leaf 32 bytes
//! ```
//!
//! The leaf is over the bytes from the flags to `redrive` with the kind as 0, the header with its length, and the digest
//! of the body: it is the same before and after the body was taken out.

use bytes::{Buf, BufMut, Bytes};
use hemostat_agent::log::{
    EntryId, FIELD_EVENT, FIELD_FOR, FIELD_PREV, FIELD_REDRIVE, FIELD_SEQ, StreamName,
};
use hemostat_event::codec::{self, DecodeError};
use hemostat_event::{Event, EventId};
use ring::rand::{SecureRandom, SystemRandom};

use crate::chain::{Digest, Domain};

#[cfg(test)]
mod tests;

const PREV: u8 = 0x10;
const FOR: u8 = 0x20;
const REDRIVE: u8 = 0x40;
const FLAGS: u8 = PREV | FOR | REDRIVE;

/// Bytes of a salt: 128 bits cannot be guessed.
const SALT_BYTES: usize = 16;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the sequence of the partition.
    pub seq: u64,
    /// The stream it stood in.
    pub stream: StreamName,
    /// Where it stood in the stream.
    pub id: EntryId,
    /// The entry before it about the same container in the same stream.
    pub prev: Option<EntryId>,
    /// The only group it was there for.
    pub only_for: Option<String>,
    /// The dead letter because of which it stood there once more.
    pub redrive: Option<EventId>,
    /// What it held.
    pub body: Body,
}

/// What an entry held, as far as the archive still has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole {
        /// Goes into the digest of the body, and goes with the body.
        salt: [u8; SALT_BYTES],
        /// The header; empty where the bytes are no event.
        header: Bytes,
        /// The rest.
        body: Bytes,
    },
    /// The body was taken out.
    Taken {
        /// The header.
        header: Bytes,
        /// The digest of what the body was.
        digest: Digest,
    },
    /// The time for which it is kept is over; only its leaf is left.
    Leaf(Digest),
}

/// Bytes that are no entry of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They end before the entry does.
    #[error("an entry that is cut off")]
    CutOff,
    /// They have a value that no entry has.
    #[error("an entry with an impossible {0}")]
    Impossible(&'static str),
}

impl Record {
    /// Takes the fields of an entry as the log has them. `None` when it has no number: it was not written by us.
    #[must_use]
    pub fn read<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        stream: StreamName,
        id: EntryId,
        fields: &[(N, V)],
        salt: [u8; SALT_BYTES],
    ) -> Option<Self> {
        let field = |wanted: &str| {
            fields
                .iter()
                .find(|(name, _)| name.as_ref() == wanted.as_bytes())
                .map(|(_, value)| value.as_ref())
        };
        let text = |wanted: &str| field(wanted).and_then(|value| std::str::from_utf8(value).ok());
        let event = field(FIELD_EVENT).unwrap_or_default();
        let (header, body) = event.split_at(codec::payload_start(event).unwrap_or(0));
        Some(Self {
            seq: text(FIELD_SEQ)?.parse().ok()?,
            stream,
            id,
            prev: text(FIELD_PREV).and_then(|prev| prev.parse().ok()),
            only_for: text(FIELD_FOR).filter(|group| group.len() <= usize::from(u16::MAX)).map(str::to_owned),
            redrive: text(FIELD_REDRIVE).and_then(|letter| letter.parse().ok()),
            body: Body::Whole {
                salt,
                header: Bytes::copy_from_slice(header),
                body: Bytes::copy_from_slice(body),
            },
        })
    }

    /// The fields of the entry, as they stood in the log; `None` where the archive does not have them any more.
    #[must_use]
    pub fn fields(&self) -> Option<Vec<(&'static str, Vec<u8>)>> {
        let mut fields =
            vec![(FIELD_SEQ, self.seq.to_string().into_bytes()), (FIELD_EVENT, self.event_bytes()?)];
        fields.extend(self.prev.map(|prev| (FIELD_PREV, prev.to_string().into_bytes())));
        fields.extend(self.only_for.as_ref().map(|group| (FIELD_FOR, group.clone().into_bytes())));
        fields.extend(self.redrive.map(|letter| (FIELD_REDRIVE, letter.to_string().into_bytes())));
        Some(fields)
    }

    /// The stored form of the event; `None` where the archive does not have it any more.
    #[must_use]
    pub fn event_bytes(&self) -> Option<Vec<u8>> {
        match &self.body {
            Body::Whole { header, body, .. } => Some([&header[..], &body[..]].concat()),
            Body::Taken { .. } | Body::Leaf(_) => None,
        }
    }

    /// The event, or why it cannot be read; `None` where the archive does not have it any more.
    #[must_use]
    pub fn event(&self) -> Option<Result<Event, DecodeError>> {
        match &self.body {
            Body::Whole { header, body, .. } => Some(codec::decode_parts(header, body)),
            Body::Taken { .. } | Body::Leaf(_) => None,
        }
    }

    /// The leaf of the entry in chain and tree.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        let (header, digest) = match &self.body {
            Body::Whole { salt, header, body } => (header, Digest::within(Domain::Body, &[salt, body])),
            Body::Taken { header, digest } => (header, *digest),
            Body::Leaf(leaf) => return *leaf,
        };
        let mut fields = Vec::with_capacity(192 + header.len());
        self.write_fields(0, &mut fields);
        put_bytes(header, &mut fields);
        fields.put_slice(digest.as_bytes());
        Digest::within(Domain::Leaf, &[&fields])
    }

    /// The same entry without its body, which cannot be brought back.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        if let Body::Whole { salt, header, body } = self.body {
            self.body = Body::Taken { header, digest: Digest::within(Domain::Body, &[&salt, &body]) };
        }
        self
    }

    /// The same entry with nothing but its place and its leaf.
    #[must_use]
    pub fn only_leaf(self) -> Self {
        let body = Body::Leaf(self.leaf());
        Self { prev: None, only_for: None, redrive: None, body, ..self }
    }

    /// Appends the entry to a frame.
    pub(crate) fn write(&self, frame: &mut Vec<u8>) {
        match &self.body {
            Body::Whole { salt, header, body } => {
                self.write_fields(0, frame);
                frame.put_slice(salt);
                put_bytes(header, frame);
                put_bytes(body, frame);
            }
            Body::Taken { header, digest } => {
                self.write_fields(1, frame);
                frame.put_slice(digest.as_bytes());
                put_bytes(header, frame);
            }
            Body::Leaf(leaf) => {
                self.write_fields(2, frame);
                frame.put_slice(leaf.as_bytes());
            }
        }
    }

    fn write_fields(&self, kind: u8, out: &mut Vec<u8>) {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = flag(self.prev.is_some(), PREV)
            | flag(self.only_for.is_some(), FOR)
            | flag(self.redrive.is_some(), REDRIVE);
        out.put_u8(kind | flags);
        out.put_u64_le(self.seq);
        put_id(self.id, out);
        match &self.stream {
            StreamName::Type(kind) => put_text(kind.as_str(), out),
            plans @ StreamName::Plans(_) => put_text(&plans.to_string(), out),
        }
        if let Some(prev) = self.prev {
            put_id(prev, out);
        }
        if let Some(group) = &self.only_for {
            put_text(group, out);
        }
        if let Some(letter) = self.redrive {
            out.put_slice(letter.as_bytes());
        }
    }

    /// Takes the next entry from the front of a frame.
    ///
    /// # Errors
    /// When the bytes are no entry.
    pub(crate) fn take(frame: &mut Bytes) -> Result<Self, RecordError> {
        let head = take_u8(frame)?;
        if head & !(FLAGS | 0x03) != 0 {
            return Err(RecordError::Impossible("kind"));
        }
        let seq = take_u64(frame)?;
        let id = take_id(frame)?;
        let stream = take_text(frame)?;
        let stream = std::str::from_utf8(&stream).ok().and_then(|name| name.parse().ok());
        let stream = stream.ok_or(RecordError::Impossible("stream"))?;
        let prev = if head & PREV != 0 { Some(take_id(frame)?) } else { None };
        let only_for = if head & FOR != 0 {
            let group = String::from_utf8(take_text(frame)?.to_vec());
            Some(group.map_err(|_binary| RecordError::Impossible("group"))?)
        } else {
            None
        };
        let redrive = if head & REDRIVE != 0 { Some(EventId::from_bytes(take_array(frame)?)) } else { None };
        let body = match head & 0x03 {
            0 => {
                let salt = take_array(frame)?;
                Body::Whole { salt, header: take_bytes(frame)?, body: take_bytes(frame)? }
            }
            1 => {
                let digest = Digest::from_bytes(take_array(frame)?);
                Body::Taken { header: take_bytes(frame)?, digest }
            }
            2 if head & FLAGS == 0 => Body::Leaf(Digest::from_bytes(take_array(frame)?)),
            _ => return Err(RecordError::Impossible("kind")),
        };
        Ok(Self { seq, stream, id, prev, only_for, redrive, body })
    }
}

/// Salts for entries, from the system's random numbers, many at a time.
#[derive(Debug)]
pub struct Salts {
    random: SystemRandom,
    drawn: Vec<u8>,
}

impl Default for Salts {
    fn default() -> Self {
        Self { random: SystemRandom::new(), drawn: Vec::new() }
    }
}

impl Salts {
    const DRAWN_BYTES: usize = 256 * SALT_BYTES;

    /// The next salt.
    ///
    /// # Panics
    /// When the system has no random numbers: nothing could be kept secret then.
    pub fn draw(&mut self) -> [u8; SALT_BYTES] {
        if self.drawn.is_empty() {
            self.drawn.resize(Self::DRAWN_BYTES, 0);
            self.random.fill(&mut self.drawn).expect("the system has random numbers");
        }
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&self.drawn.split_off(self.drawn.len() - SALT_BYTES));
        salt
    }
}

fn put_id(id: EntryId, out: &mut Vec<u8>) {
    out.put_u64_le(id.ms);
    out.put_u64_le(id.n);
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.put_u16_le(u16::try_from(text.len()).expect("names are short"));
    out.put_slice(text.as_bytes());
}

fn put_len_u32(len: usize, out: &mut Vec<u8>) {
    out.put_u32_le(u32::try_from(len).expect("an event has at most a mebibyte"));
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_len_u32(bytes.len(), out);
    out.put_slice(bytes);
}

fn take_u8(frame: &mut Bytes) -> Result<u8, RecordError> {
    frame.try_get_u8().map_err(|_cut_off| RecordError::CutOff)
}

fn take_u64(frame: &mut Bytes) -> Result<u64, RecordError> {
    frame.try_get_u64_le().map_err(|_cut_off| RecordError::CutOff)
}

fn take_id(frame: &mut Bytes) -> Result<EntryId, RecordError> {
    Ok(EntryId { ms: take_u64(frame)?, n: take_u64(frame)? })
}

fn take_array<const N: usize>(frame: &mut Bytes) -> Result<[u8; N], RecordError> {
    let mut array = [0; N];
    frame.try_copy_to_slice(&mut array).map_err(|_cut_off| RecordError::CutOff)?;
    Ok(array)
}

fn take_text(frame: &mut Bytes) -> Result<Bytes, RecordError> {
    let len = frame.try_get_u16_le().map_err(|_cut_off| RecordError::CutOff)?;
    take_len(usize::from(len), frame)
}

fn take_bytes(frame: &mut Bytes) -> Result<Bytes, RecordError> {
    let len = frame.try_get_u32_le().map_err(|_cut_off| RecordError::CutOff)?;
    take_len(len as usize, frame)
}

fn take_len(len: usize, frame: &mut Bytes) -> Result<Bytes, RecordError> {
    if frame.len() < len { Err(RecordError::CutOff) } else { Ok(frame.split_to(len)) }
}
