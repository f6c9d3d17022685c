//! A run of entries, compressed by itself: what is read from an object at the least.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::bulk::Decompressor;

use crate::record::{Record, RecordError};

/// Zstandard's own default: beyond it the time grows faster than the gain.
const LEVEL: i32 = 3;
/// Most bytes of a frame before it was compressed. A writer closes it at a fraction of this; one entry alone may need
/// more.
const BYTES_MAX: usize = 1 << 30;

/// Bytes that are no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// They are not what Zstandard writes, or their check sum is wrong.
    #[error("a frame that cannot be decompressed")]
    Compression(#[source] std::io::Error),
    /// They are not as long as the index says.
    #[error("a frame of {found} bytes where the index says {said}")]
    Length {
        /// What the index says.
        said: usize,
        /// What it is.
        found: usize,
    },
    /// An entry cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Compresses the entries of a frame, with a check sum.
pub(crate) struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    pub(crate) fn new() -> Self {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL).expect("the level is one of Zstandard's");
        compressor.include_checksum(true).expect("every version of Zstandard has check sums");
        Self(compressor)
    }

    pub(crate) fn compress(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.compress(bytes).expect("there is memory for what is smaller than the bytes")
    }
}

thread_local! {
    /// To make one costs as much as to decompress a tenth of a frame.
    static DECOMPRESSOR: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("there is memory for a decompressor"));
}

/// The bytes of a frame that had `said` bytes.
pub(crate) fn decompress(frame: &[u8], said: usize) -> Result<Bytes, FrameError> {
    if BYTES_MAX < said {
        return Err(FrameError::Length { said, found: BYTES_MAX });
    }
    let bytes = DECOMPRESSOR
        .with_borrow_mut(|decompressor| decompressor.decompress(frame, said))
        .map_err(FrameError::Compression)?;
    if bytes.len() == said { Ok(bytes.into()) } else { Err(FrameError::Length { said, found: bytes.len() }) }
}

/// Goes through the entries of a frame.
pub(crate) fn records(mut bytes: Bytes) -> impl Iterator<Item = Result<Record, RecordError>> {
    std::iter::from_fn(move || {
        let record = (!bytes.is_empty()).then(|| Record::take(&mut bytes))?;
        if record.is_err() {
            // What follows has no beginning.
            bytes.clear();
        }
        Some(record)
    })
}
