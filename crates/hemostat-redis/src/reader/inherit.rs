//! The beginning of a membership: what is taken over.

use std::time::Duration;

use hemostat_agent::log::{ConsumerName, LogError, Membership, Partition};

use crate::fault::Effect;
use crate::log::millis;
use crate::reply;
use crate::scripts::INHERIT;
use crate::shared::Shared;

/// Silence after which a consumer of any name is forgotten, if nothing is pending for it: it comes back by reading.
const SILENT: Duration = Duration::from_secs(60 * 60);
/// Most entries moved in one call: some hundred microseconds of the server.
const MOVED_MAX: u64 = 512;

/// Gives a new member what those who had its slot before left unfinished; how many entries that were.
pub(super) async fn inherit(
    shared: &Shared,
    membership: &Membership,
    partition: Partition,
) -> Result<u64, LogError> {
    let Membership { role, consumer, streams, .. } = membership;
    let (slot, epoch) = match consumer.parse() {
        Ok(ConsumerName { role, slot, epoch }) => (format!("{role}-{slot}."), epoch),
        Err(_of_no_slot) => (String::new(), 0),
    };
    let mut call = INHERIT.call(&shared.keys.seq(partition));
    call.arg(role.as_str()).arg(consumer).arg(slot).arg(epoch).arg(millis(SILENT)).arg(MOVED_MAX);
    for stream in streams {
        call.arg(stream.to_string());
    }
    let mut inherited = 0;
    loop {
        // A repetition goes on where the first call ended.
        let moved = shared.link.run_one(&INHERIT, call.clone(), Effect::Read).await?;
        let moved = reply::integer(&moved)?.unsigned_abs();
        inherited += moved;
        if moved < MOVED_MAX {
            return Ok(inherited);
        }
    }
}
