//! Archives, and runs of the program on them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use hemostat_agent::log::{EntryId, FIELD_EVENT, FIELD_SEQ, StreamName};
use hemostat_archive::{Archive, Place, PrivateKey, Record, Salts, Sealer};
use hemostat_event::{Event, codec};

/// Seals events in this order, as partition 0, `per_segment` to a segment.
pub(crate) async fn archive(folder: &Path, events: &[Event], per_segment: usize) -> PrivateKey {
    let archive = Archive::open(&Place::Folder(folder.to_owned())).expect("a folder");
    let key = PrivateKey::generate();
    let mut salts = Salts::default();
    let mut sealer = Sealer::new(0, None);
    for (place, event) in events.iter().enumerate() {
        let seq = place as u64 + 1;
        let fields = [(FIELD_SEQ, seq.to_string().into_bytes()), (FIELD_EVENT, codec::encode(event))];
        let id = EntryId { ms: event.envelope.time.millis(), n: seq };
        let record = Record::read(StreamName::of(event), id, &fields, salts.draw()).expect("it has a number");
        sealer.push(&record);
        if (place + 1) % per_segment == 0 || place + 1 == events.len() {
            let sealed = sealer.seal(&key, BTreeMap::new(), 0, "test").expect("there are entries");
            assert!(archive.publish(sealed.object, &sealed.head, &key).await.expect("the folder is there"));
            sealer.published(sealed.head);
        }
    }
    key
}

/// Runs the program; the environment says nothing.
pub(crate) fn replay(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hemostat-replay"));
    command.args(args).env_clear().output().expect("the program runs")
}

/// What it wrote to standard output.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// What it wrote to standard error.
pub(crate) fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}
