//! What was trimmed from the log is read from the archive, with everything once and in order.

use serde_json::Value;

use crate::archiving::{archived, event, with_archive};
use crate::crashes::alert_of_nobody;
use crate::rig::{Process, Rig, hemostat, run};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_no_longer_has_comes_from_the_archive() {
    let rig = Rig::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut archiver = Process::start(with_archive(&mut rig.command(&["archiver"]), &folder));
    let alert = alert_of_nobody(rig.log.now().await.expect("the log's clock"));
    rig.log.append(std::slice::from_ref(&alert)).await.expect("the log is there");
    append(&rig, 1..300).await;
    archived(folder.path(), "all", |head| head.last_seq == 300).await;
    assert_eq!(archiver.terminate().0, Some(0), "{:#?}", archiver.said());
    append(&rig, 300..320).await;
    // Of the archived ones the log keeps the last twenty.
    rig.redis_says(&["EVAL", TRIM, "0", "40"]).await;
    let kept = seqs(&run(&mut rig.command(&["log", "-o", "json"])).out);
    assert_eq!(kept, (281..=320).collect::<Vec<_>>(), "the log was trimmed");
    assert_eq!(run(&mut rig.command(&["incidents", "-o", "json"])).out, "");

    let whole = (1..=320).collect::<Vec<_>>();
    let reads = |args: &[&str]| {
        let mut command = rig.command(args);
        let answer = run(with_archive(&mut command, &folder));
        assert_eq!(answer.code, 0, "{}", answer.err);
        answer.out
    };
    assert_eq!(seqs(&reads(&["log", "-o", "json"])), whole);
    assert_eq!(seqs(&reads(&["log", "-o", "json", "--since", "90d"])), whole);
    let about: Vec<_> = whole.iter().copied().filter(|seq| (seq - 1) % 7 == 3).collect();
    assert_eq!(seqs(&reads(&["log", "-o", "json", "--container", "container-3"])), about);
    assert_eq!(seqs(&reads(&["log", "-o", "json", "--type", "health_alert"])), [1]);
    assert!(seqs(&reads(&["log", "-o", "json", "--since", "2100-01-01T00:00:00Z"])).is_empty());
    let incidents = reads(&["incidents", "-o", "json"]);
    assert_eq!(incidents.lines().count(), 1, "once: {incidents}");
    let incident = alert.envelope.incident.expect("an alert is of an incident").to_string();
    assert!(incidents.contains(&incident), "{incidents}");
    assert!(reads(&["incident", "show", &incident]).contains("health_alert"));
    assert_eq!(seqs(&reads(&["explain", &alert.envelope.id.to_string(), "-o", "json"])), [1]);

    // Named on the command line, and with no log at all.
    let place = folder.path().join("archive");
    let place = place.to_str().expect("a path");
    let named = run(&mut rig.command(&["log", "-o", "json", "--archive", place]));
    assert_eq!(seqs(&named.out), whole);
    let alone = run(hemostat(&["log", "-o", "json", "--archive", place])
        .env("HEMOSTAT_DATA_DIR", folder.path())
        .env("HEMOSTAT_REDIS_URL", "redis://127.0.0.1:1"));
    assert_eq!((alone.code, seqs(&alone.out)), (0, (1..=300).collect::<Vec<_>>()), "{}", alone.err);
    assert!(alone.err.contains("only the archive is read"), "{}", alone.err);
    let missing = run(&mut rig.command(&["log", "--archive", "/nowhere/at/all"]));
    assert_eq!(missing.code, 3);
    assert!(missing.err.contains("there is no archive in `/nowhere/at/all`"), "{}", missing.err);
}

/// Leaves so many entries in every stream; the alert is before them.
const TRIM: &str = "for _, key in ipairs(redis.call('KEYS', '*')) do \
                    if redis.call('TYPE', key).ok == 'stream' then if redis.call('XLEN', key) <= 1 then redis.call('XTRIM', key, 'MAXLEN', 0) else redis.call('XTRIM', key, 'MAXLEN', ARGV[1]) end end \
                    end return 1";

/// The numbers of the events, in the order in which they were printed.
fn seqs(out: &str) -> Vec<u64> {
    let number = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("a JSON object");
        event["seq"].as_u64().expect("it has a number")
    };
    out.lines().map(number).collect()
}

async fn append(rig: &Rig, numbers: std::ops::Range<u64>) {
    let events: Vec<_> = numbers.map(event).collect();
    rig.log.append(&events).await.expect("the log is there");
}
