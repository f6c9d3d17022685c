//! An archive of made events, sealed as the archiver does it, and the same entries as `zstd` can read them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use hemostat_agent::log::{EntryId, FIELD_EVENT, FIELD_SEQ, StreamName};
use hemostat_archive::{Archive, Frames, Place, PrivateKey, Record, Salts, Sealer, Settings};
use hemostat_event::{Event, codec};

/// What was made.
pub(super) struct Made {
    pub archive: PathBuf,
    /// The file of the public key.
    pub key: PathBuf,
    /// The frames of all objects, one behind the other.
    pub frames: PathBuf,
    pub entries: u64,
    /// Decisions in them.
    pub decisions: u64,
    /// Bytes of the frames, and of what is in them.
    pub frame_bytes: u64,
    pub raw_bytes: u64,
}

/// An archive in the making.
pub(super) struct Making {
    made: Made,
    secret: PrivateKey,
    store: Archive,
    sealer: Sealer,
    salts: Salts,
    frames: File,
}

impl Making {
    /// Begins in a folder that is not there yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn begin(folder: &Path) -> anyhow::Result<Self> {
        let archive = folder.join("archive");
        let store = Archive::open(&Place::Folder(archive.clone()))?;
        let (key, frames) = (folder.join("public.pem"), folder.join("frames.zst"));
        let secret = PrivateKey::generate();
        std::fs::write(&key, secret.public().to_pem()).context("cannot write the key")?;
        let file = File::create(&frames).context("cannot write the frames")?;
        Ok(Self {
            made: Made { archive, key, frames, entries: 0, decisions: 0, frame_bytes: 0, raw_bytes: 0 },
            secret,
            store,
            sealer: Sealer::new(0, None),
            salts: Salts::default(),
            frames: file,
        })
    }

    /// Adds the next event.
    ///
    /// # Errors
    /// When a segment cannot be written.
    pub(super) async fn push(&mut self, event: &Event) -> anyhow::Result<()> {
        self.made.entries += 1;
        let seq = self.made.entries;
        let fields = [(FIELD_SEQ, seq.to_string().into_bytes()), (FIELD_EVENT, codec::encode(event))];
        let id = EntryId { ms: event.envelope.time.millis(), n: seq };
        let record = Record::read(StreamName::of(event), id, &fields, self.salts.draw());
        self.sealer.push(&record.expect("it has a number"));
        if self.sealer.is_full(&Settings::default()) { self.seal().await } else { Ok(()) }
    }

    async fn seal(&mut self) -> anyhow::Result<()> {
        let Some(sealed) = self.sealer.seal(&self.secret, BTreeMap::new(), 0, "bench") else { return Ok(()) };
        self.store.publish(sealed.object.clone(), &sealed.head, &self.secret).await?;
        self.sealer.published(sealed.head);
        for frame in Frames::open(sealed.object.clone())?.index.frames {
            let start = usize::try_from(frame.offset)?;
            let bytes = &sealed.object[start..start + frame.length as usize];
            self.frames.write_all(bytes).context("cannot write the frames")?;
            self.made.frame_bytes += u64::from(frame.length);
            self.made.raw_bytes += u64::from(frame.raw_length);
        }
        Ok(())
    }

    /// Seals what is left.
    ///
    /// # Errors
    /// As for [`Making::push`].
    pub(super) async fn finish(mut self, decisions: u64) -> anyhow::Result<Made> {
        self.seal().await?;
        Ok(Made { decisions, ..self.made })
    }
}
