//! Handing a dead letter to its group once more.

use hemostat_agent::log::{Entry, EntryId, EntryRef, LogError, Partition, Redrive, Redriven, StreamName};
use hemostat_event::{EventType, Source, Subject, Timestamp};

use crate::commit;
use crate::fault::{self, Effect};
use crate::reply;
use crate::scripts::REDRIVE;
use crate::shared::Shared;

pub(crate) async fn redrive(
    shared: &Shared,
    letter: &EntryRef,
    by: &str,
    source: &Source,
    now: Timestamp,
) -> Result<Redriven, LogError> {
    let fields = fields(shared, letter.partition, &letter.stream, letter.id).await?;
    let letter = Entry::read(letter.clone(), 0, &fields);
    let (stream, id) = match Redrive::original(&letter) {
        Ok(original) => original,
        Err(nothing) => return Ok(nothing),
    };
    let original = self::fields(shared, letter.at.partition, &stream, id).await?;
    let redrive = match Redrive::of(&letter, &original, by, source, now) {
        Ok(redrive) => redrive,
        Err(nothing) => return Ok(nothing),
    };
    let mut call = REDRIVE.call(&shared.keys.seq(letter.at.partition));
    call.arg(redrive.letter.to_string()).arg(letter.at.id.ms).arg(EventType::DeadLetter.as_str());
    call.arg(redrive.acknowledged.as_ref().map_or(&[][..], |key| key.as_bytes()));
    commit::write_event(&mut call, &redrive.order);
    call.arg(redrive.stream.to_string()).arg(redrive.subject.as_ref().map_or("", Subject::as_str));
    call.arg(&redrive.event).arg(redrive.group.as_str());
    match reply::integer(&shared.link.run_one(&REDRIVE, call, Effect::Write).await?)? {
        -1 => Ok(Redriven::Before),
        -2 => Ok(Redriven::DealtWith),
        number => {
            let order = u64::try_from(number).map_err(|_negative| fault::unexpected("a redrive"))?;
            Ok(Redriven::Handed { order, entry: order + 1 })
        }
    }
}

/// The fields of an entry; none where it is not there.
async fn fields(
    shared: &Shared,
    partition: Partition,
    stream: &StreamName,
    id: EntryId,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, LogError> {
    let mut request = redis::cmd("XRANGE");
    request.arg(shared.keys.stream(partition, stream)).arg(id.to_string()).arg(id.to_string());
    let entries = reply::entries(shared.link.query(request, Effect::Read).await?)?;
    Ok(entries.into_iter().next().and_then(|(_, fields)| fields).unwrap_or_default())
}
