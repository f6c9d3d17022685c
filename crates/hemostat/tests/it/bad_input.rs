//! Entries that are no events: each is parked with its reason, and the agent goes on.

use std::time::Duration;

use hemostat_event::{Data, EventType};

use crate::crashes::alert_of_nobody;
use crate::rig::{LIMIT, Process, Rig, count};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_parked_with_its_reason_and_the_next_is_decided() {
    let rig = Rig::start().await;
    let alert = alert_of_nobody(rig.log.now().await.expect("the log's clock"));
    let stored = hemostat_event::codec::encode(&alert);
    // Type and version stand in the header, which comes first.
    let unknown = replaced(&stored, b"health_alert", b"health_upset");
    let newer = replaced(&stored, b"\xa7version\x01", b"\xa7version\x63");
    let stream = "hemostat:{0}:health_alert";
    for (field, value) in
        [("event", &b"garbage"[..]), ("event", &unknown), ("event", &newer), ("other", b"x")]
    {
        let mut connection = rig.redis.connection().await.expect("a connection");
        let mut command = redis::cmd("XADD");
        command.arg(stream).arg("*").arg(field).arg(value);
        let _id: String = command.query_async(&mut connection).await.expect("Redis takes the entry");
    }
    let mut analyzer = Process::start(&mut rig.command(&["analyzer"]));
    rig.log.append(std::slice::from_ref(&alert)).await.expect("the alert is written");
    let events = rig
        .until("a decision and four letters", LIMIT, |events| {
            count(events, |data| matches!(data, Data::DeadLetter(_))) == 4
                && count(events, |data| matches!(data, Data::RemediationNeeded(_) | Data::FalseAlarm(_))) == 1
        })
        .await;
    let reasons: Vec<String> = events
        .iter()
        .filter_map(|(_, event)| match &event.data {
            Data::DeadLetter(letter) => Some(letter.errors.join(": ")),
            _ => None,
        })
        .collect();
    for word in ["not an event", "health_upset", "version 99", "no field `event`"] {
        assert!(reasons.iter().any(|reason| reason.contains(word)), "`{word}` is missing in {reasons:#?}");
    }
    let originals = events.iter().filter_map(|(_, event)| match &event.data {
        Data::DeadLetter(letter) => Some(letter.original.len()),
        _ => None,
    });
    assert!(originals.min() == Some(1), "the fields are kept as they stood");
    let waiting = rig.log.groups().await.expect("the groups");
    assert!(waiting.iter().all(|group| group.pending == 0), "nothing stays pending: {waiting:#?}");
    assert_eq!(events.iter().filter(|(_, event)| event.event_type() == EventType::DeadLetter).count(), 4);
    let (code, took) = analyzer.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from).expect("the header has it");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}
