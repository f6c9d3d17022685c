//! Handing a dead letter out once more.

use hemostat_event::{Source, Timestamp};

use super::Part;
use crate::log::{Entry, EntryRef, FIELD_EVENT, FIELD_FOR, FIELD_REDRIVE, FIELD_SEQ, Redrive, Redriven};

impl Part {
    pub(in crate::memory::log) fn redrive(
        &mut self,
        letter: &EntryRef,
        by: &str,
        source: &Source,
        now: Timestamp,
    ) -> Redriven {
        let redrive = match self.read(letter, by, source, now) {
            Ok(redrive) => redrive,
            Err(nothing) => return nothing,
        };
        if self.redriven.contains(&redrive.letter) {
            return Redriven::Before;
        }
        if redrive.acknowledged.is_some_and(|key| self.known.has(key, now)) {
            return Redriven::DealtWith;
        }
        self.redriven.insert(redrive.letter);
        let order = self.write(&redrive.order, now);
        self.seq += 1;
        let fields = [
            (FIELD_SEQ, self.seq.to_string().into_bytes()),
            (FIELD_EVENT, redrive.event),
            (FIELD_REDRIVE, redrive.letter.to_string().into_bytes()),
            (FIELD_FOR, redrive.group.as_str().as_bytes().to_vec()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).to_vec();
        self.add_in_order(&redrive.stream, redrive.subject.as_ref(), fields, now);
        Redriven::Handed { order, entry: self.seq }
    }

    fn read(&self, at: &EntryRef, by: &str, source: &Source, now: Timestamp) -> Result<Redrive, Redriven> {
        let letter =
            Entry::read(at.clone(), 0, self.fields(&at.stream, at.id).map_or(&[][..], Vec::as_slice));
        let (stream, id) = Redrive::original(&letter)?;
        let original = self.fields(&stream, id).map_or(&[][..], Vec::as_slice);
        Redrive::of(&letter, original, by, source, now)
    }
}
