//! What others write where the log is: handed out as it stands, or refused; never in the way.

use hemostat_agent::log::{CommitAnswer, EventLog as _, LogError, StreamName};
use hemostat_event::{DeadLetter, EventType, Source};

use crate::given::{
    INPUT, OUTPUT, ROLE, all, changed, changes, commit_one, dealt_with, host, join, key, numbers, pending,
    redis_and_log, take,
};

#[tokio::test]
async fn garbage_is_handed_out_and_buried_like_anything_else() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    let stream = key(INPUT);
    let huge = "x".repeat(2 << 20);
    let garbage: [&[&str]; 4] = [
        &["temperature", "warm"],
        &["event", "\u{7f}nothing", "seq", "-3"],
        &["event", &huge],
        &["event", "", "event", "", "", ""],
    ];
    for fields in garbage {
        let mut words = vec!["XADD", stream.as_str(), "*"];
        words.extend(fields);
        redis.command::<String>(&words).await.expect("Redis answers");
    }
    log.append(&[changed("db", 1)]).await.expect("the log is there");
    let entries = take(reader.as_mut(), 5).await;
    let source = Source { role: ROLE, instance: "a".to_owned() };
    for entry in &entries[..4] {
        let error = entry.event.as_ref().expect_err("it is no event");
        assert_eq!(entry.seq, None);
        let letter = DeadLetter {
            stream: entry.at.stream.to_string(),
            entry: entry.at.id.to_string(),
            group: ROLE,
            event: None,
            incident: None,
            errors: vec![error.to_string()],
            attempts: entry.attempts,
            original: entry.raw.clone(),
        };
        let answer = log.bury(&entry.at, "a", &host(), &source, letter).await.expect("the log is there");
        assert!(matches!(answer, CommitAnswer::Committed(_)), "{answer:?}");
    }
    assert!(matches!(commit_one(&log, dealt_with(&entries[4], "a", 0)).await, CommitAnswer::Committed(_)));
    let letters = all(&log, &StreamName::Type(EventType::DeadLetter)).await;
    assert!(letters.iter().all(|letter| letter.event.is_ok()), "a letter about anything can be read");
    assert_eq!((letters.len(), pending(&log).await), (4, 0));
    assert_eq!(numbers(&log).await, (1..=6).collect::<Vec<_>>());
}

#[tokio::test]
async fn foreign_entries_with_extreme_ids_do_not_move_the_cursor_past_others() {
    let (redis, log) = redis_and_log().await;
    let stream = key(INPUT);
    // Ids whose parts a double cannot hold.
    for id in ["7-18446744073709551614", "7-18446744073709551615", "9-0"] {
        redis.command::<String>(&["XADD", &stream, id, "a", "b"]).await.expect("Redis answers");
    }
    let mut reader = join(&log, "a").await;
    log.append(&[changed("db", 1)]).await.expect("the log is there");
    let entries = take(reader.as_mut(), 4).await;
    assert!(matches!(commit_one(&log, dealt_with(&entries[3], "a", 0)).await, CommitAnswer::Committed(_)));
    redis.command::<i64>(&["XGROUP", "DESTROY", &stream, ROLE.as_str()]).await.expect("Redis answers");
    let again = take(join(&log, "b").await.as_mut(), 4).await;
    assert_eq!(again[0].at, entries[0].at);
}

#[tokio::test]
async fn keys_of_another_kind_are_refused_and_nothing_is_half_done() {
    for name in ["state:analyzer", "health_recovered", "seq", "streams", "cursor"] {
        let (redis, log) = redis_and_log().await;
        let mut reader = join(&log, "a").await;
        log.append(&changes(0, 1)).await.expect("the log is there");
        let entry = take(reader.as_mut(), 1).await.remove(0);
        let taken = key(name);
        let kept: Option<Vec<u8>> = redis.command(&["DUMP", &taken]).await.expect("Redis answers");
        redis.command::<()>(&["DEL", &taken]).await.expect("Redis answers");
        redis.command::<i64>(&["LPUSH", &taken, "mine"]).await.expect("Redis answers");
        let step = dealt_with(&entry, "a", 0);
        let error = log.commit(std::slice::from_ref(&step)).await.expect_err("the key is another's");
        let LogError::Refused { reason, .. } = &error else { panic!("{name}: {error:?}") };
        assert!(reason.contains("namespace"), "{name}: {reason}");
        redis.command::<()>(&["DEL", &taken]).await.expect("Redis answers");
        if let Some(kept) = kept {
            let mut restore = redis::cmd("RESTORE");
            restore.arg(&taken).arg(0).arg(kept);
            restore
                .exec_async(&mut redis.connection().await.expect("Redis answers"))
                .await
                .expect("Redis answers");
        }
        assert!(all(&log, &OUTPUT).await.is_empty(), "{name}");
        assert_eq!(commit_one(&log, step).await, CommitAnswer::Committed(vec![2]), "{name}");
    }
}

#[tokio::test]
async fn what_is_not_a_stream_of_the_log_is_not_shown() {
    let (redis, log) = redis_and_log().await;
    log.append(&changes(0, 1)).await.expect("the log is there");
    redis
        .command::<i64>(&["SADD", &key("streams"), "novelty", "remediation_needed:", "seq"])
        .await
        .expect("Redis answers");
    redis
        .command::<String>(&["XGROUP", "CREATE", &key(INPUT), "strangers", "0"])
        .await
        .expect("Redis answers");
    assert_eq!(log.streams(crate::given::PARTITION).await.expect("the log is there"), [INPUT]);
    assert_eq!(log.groups().await.expect("the log is there"), []);
}
