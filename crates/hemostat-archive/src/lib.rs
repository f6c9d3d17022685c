//! The log of HemoStat, kept for good: sealed into segments, hashed, signed, in a folder or an object store.
//!
//! A segment is a run of entries of one partition in the order of their numbers. Its object holds the entries, its
//! *head* says what must be in there and is signed. A segment is there when its head is there.
//!
//! Invariants:
//! - entries of one epoch of a partition are in the archive without a gap, each once; what was lost before it
//!   could be sealed is named by a signed head.
//! - whatever becomes of an archive (an edit, a deletion, an insertion, another order, an end that was cut off), a
//!   reader who has the public key can tell.
//! - a body can be taken out of the archive without breaking A-2 for anything else.

mod archiver;
mod chain;
mod failure;
mod frame;
mod head;
mod history;
mod hold;
mod http;
mod keys;
mod object;
mod place;
mod read;
mod record;
mod retention;
mod revise;
mod seal;
mod store;
mod succession;
mod sweep;
#[cfg(test)]
mod testing;
mod verify;

pub use archiver::Archiver;
pub use chain::{Chain, Digest, DigestError, Tree};
pub use failure::ArchiveError;
pub use frame::FrameError;
pub use head::{Head, HeadError, Loss, ObjectRef, Redaction, Signed, VERSION};
pub use history::{Heads, History, HistoryError, Read};
pub use hold::{About, Covers, Hold, HoldOrder, HoldStatement, Holds};
pub use keys::{KeyError, KeyId, KeyRing, PrivateKey, PublicKey, Signature, Succession};
pub use object::{Frames, Index, IndexEntry, ObjectError, Writer};
pub use place::{Bucket, Place, PlaceError};
pub use read::{Reader, Selection};
pub use record::{Body, Record, RecordError, Salts};
pub use retention::{Due, Expired, Keep, due, expire};
pub use revise::{Fate, Judge, Revised, Revision};
pub use seal::{Sealed, Sealer, Settings};
pub use store::{Archive, HeadName, Tip};
pub use sweep::{Needless, ORPHAN_AGE, Swept};
pub use verify::{
    At, Finding, FindingKind, Note, NoteKind, PartitionReport, Progress, Report, Witness, verify,
};
