//! Redis is lost with everything in it, and made anew from the archive.

use std::path::Path;

use hemostat_docker::testing::Lab;
use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, Outcome, Rejection};
use hemostat_redis::testing::TestRedis;

use crate::archiving::{archived, open, with_archive};
use crate::healing::{enabled, up_command, verified};
use crate::rig::{Answer, LIMIT, Process, Rig, about, count, hemostat_replay, run};

/// Crashes at once, and once more some time after it was restarted.
const CRASH_TWICE: &str = "test -e /seen || { : > /seen; exit 3; }; sleep 12; exit 3";

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_deleted_and_restored_and_the_agents_go_on() {
    let _engine = crate::rig::ENGINE.lock().await;
    let mut rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    let folder = tempfile::tempdir().expect("a folder");
    let mut up = up_command(&rig);
    let mut hemostat = Process::start(with_archive(up.env("HEMOSTAT_BRIDGE_ENABLED", "true"), &folder));
    lab.run("web", CRASH_TWICE, enabled).await.expect("a container");
    let name = lab.container_name("web");
    let known = rig.until("healing", LIMIT, |events| verified(events, &name)).await;
    let last = known.last().expect("there are events").0.seq;
    archived(folder.path(), "the healing", |head| last <= head.last_seq).await;

    let old_keys = async {
        loop {
            let kept = kept_for_long(&rig, &name).await;
            if kept.iter().all(|value| value.contains("restart") || value.contains("is_open")) {
                break kept;
            }
        }
    };
    let old_keys = tokio::time::timeout(LIMIT, old_keys).await.expect("the bridge writes its keys");

    // With its files, as when a disk is lost; and `up` goes on looking for it.
    rig.redis.kill().await.expect("it ends");
    std::fs::remove_dir_all(rig.redis.folder().join(AOF)).expect("it is there");
    let mut fresh = TestRedis::start_durable().await.expect("a redis-server");
    let restored = replay(&folder, &fresh.url(), &["restore", "--set", "responder.stabilise=2s"]);
    assert_eq!(restored.code, 0, "{}{}", restored.out, restored.err);
    let again = replay(&folder, &fresh.url(), &["restore"]);
    assert_eq!(again.code, 3, "{}", again.out);
    assert!(again.err.contains("has a log already"), "{}", again.err);
    fresh.stop().await.expect("it ends");
    copy(&fresh.folder().join(AOF), &rig.redis.folder().join(AOF));
    rig.redis.start_again().await.expect("it starts");
    assert_eq!(
        kept_for_long(&rig, &name).await,
        old_keys,
        "the keys of the Python HemoStat are as they were"
    );

    // The second crash. Without what it knew of the first, the responder would restart the container again.
    let events = rig.until("the second crash is dealt with", LIMIT, |events| refused(events, &name)).await;
    assert_eq!(count(&events, |data| matches!(data, Data::RemediationStarted(_))), 1);
    let ids = |events: &[(Position, Event)]| -> Vec<_> {
        events.iter().map(|(position, event)| (*position, event.envelope.id)).collect()
    };
    assert_eq!(ids(&events)[..known.len()], ids(&known), "nothing was lost, and everything kept its number");
    let news = events.iter().filter(|(_, event)| matches!(event.data, Data::Notification(_)));
    let mut told: Vec<_> = news.map(|(_, event)| event.envelope.id).collect();
    told.sort_unstable();
    let all = told.len();
    told.dedup();
    assert_eq!(told.len(), all, "nothing was told twice");

    let check = replay(&folder, &rig.redis.url(), &["rebuild", "--check", "--set", "responder.stabilise=2s"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
    assert_eq!(hemostat.terminate().0, Some(0), "{:#?}", hemostat.said());
    let heads = open(folder.path()).heads(0).await.expect("the archive can be read");
    assert!(heads.iter().all(|head| head.statement.losses.is_empty() && head.statement.epoch == 1));
    let key = folder.path().join("archive.key.pub");
    let clean = replay(&folder, &rig.redis.url(), &["verify", "--key", key.to_str().expect("plain text")]);
    assert_eq!(clean.code, 0, "{}{}", clean.out, clean.err);
    states_are_put_right(&rig, &folder).await;
}

/// What the bridge has written for the Python HemoStat about a container, without what the next sample writes anew.
async fn kept_for_long(rig: &Rig, name: &str) -> Vec<String> {
    let mut kept = Vec::new();
    for key in ["hemostat:events:all".to_owned(), format!("hemostat:audit:{name}")] {
        kept.push(rig.redis_says(&["LRANGE", &key, "0", "-1"]).await);
    }
    for key in ["alert_history", "remediation_history", "circuit_breaker"] {
        kept.push(rig.redis_says(&["GET", &format!("hemostat:state:{key}:{name}")]).await);
    }
    kept
}

/// Spoils a state, takes one away and makes one up; all three are found and put right.
async fn states_are_put_right(rig: &Rig, folder: &tempfile::TempDir) {
    let key = |role: &str| format!("hemostat:{{0}}:state:{role}");
    rig.redis_says(&["HSET", &key("analyzer"), "test-host/nobody", "3 \u{1}"]).await;
    rig.redis_says(&["DEL", &key("alert")]).await;
    let (responder, web) = (key("responder"), rig.redis_says(&["HKEYS", &key("responder")]).await);
    assert!(web.contains("test-host/"), "{web}");
    let rename = "local k = redis.call('HKEYS', KEYS[1])[1] redis.call('HSET', KEYS[1], k, '1 x')";
    rig.redis_says(&["EVAL", rename, "1", &responder]).await;

    let rebuild = |arguments: &[&str]| replay(folder, &rig.redis.url(), arguments);
    let check = ["rebuild", "--check", "-o", "json", "--set", "responder.stabilise=2s"];
    let found = rebuild(&check);
    assert_eq!(found.code, 1, "{}{}", found.out, found.err);
    for said in ["no event made it", "nothing is stored", "version 1 is stored, and the log has"] {
        assert!(found.out.contains(said), "{said}: {}", found.out);
    }
    assert_eq!(rebuild(&check).out, found.out, "a check changes nothing");
    assert_eq!(rebuild(&["rebuild", "--set", "responder.stabilise=2s"]).code, 1, "there was something");
    let clean = rebuild(&check);
    assert_eq!(clean.code, 0, "{}{}", clean.out, clean.err);
}

/// The append-only file of a server, in its folder.
pub(crate) const AOF: &str = "appendonlydir";

fn refused(events: &[(Position, Event)], name: &str) -> bool {
    about(events, name).iter().any(|event| {
        matches!(&event.data, Data::RemediationComplete(done)
            if matches!(done.outcome, Outcome::Rejected { rejection: Rejection::CooldownActive, .. }))
    })
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for file in std::fs::read_dir(from).expect("it is there") {
        let file = file.expect("it can be listed");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("it can be copied");
    }
}

/// Runs `hemostat-replay` on an archive and a Redis.
fn replay(folder: &tempfile::TempDir, redis: &str, arguments: &[&str]) -> Answer {
    let archive = folder.path().join("archive");
    run(hemostat_replay(arguments).arg("--archive").arg(archive).args(["--redis", redis]))
}
