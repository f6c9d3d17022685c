//! Whatever Redis answers instead of doing as it is told, the agents say so, go on by themselves, and heal what fell
//! ill meanwhile, once.

use std::time::Duration;

use hemostat_docker::testing::Lab;
use hemostat_event::Data;
use tokio::time::sleep;

use crate::healing::{CRASH_ONCE, enabled, up, verified};
use crate::rig::{LIMIT, Process, Rig, about, count};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A Redis that takes a few seconds to load what [`PADDING`] wrote, and says so meanwhile.
const SLOW_TO_LOAD: &[(&str, &str)] =
    &[("appendonly", "yes"), ("busy-reply-threshold", "100"), ("key-load-delay", "100")];
/// Written by [`PADDING`]: Redis looks up from its loading once in 1,024 commands.
const PADDING: &str = "for i = 1, 30000 do redis.call('SET', 'padding:' .. i, i) end";

/// Waits until the agents tell of `what`, for the first time since they had said `before` lines.
async fn told(hemostat: &Process, before: usize, what: &str) {
    for _ in 0..LIMIT.as_millis() / LOOK_EVERY.as_millis() {
        if hemostat.said()[before..].iter().any(|line| line.contains(what)) {
            return;
        }
        sleep(LOOK_EVERY).await;
    }
    panic!("nobody said `{what}`");
}

/// Waits until this Redis has answered `code` to somebody.
async fn answered(rig: &Rig, code: &str) {
    let counted = format!("errorstat_{code}:");
    for _ in 0..LIMIT.as_millis() / LOOK_EVERY.as_millis() {
        let stats: String = rig.redis.command(&["INFO", "errorstats"]).await.expect("Redis answers");
        if stats.contains(&counted) {
            return;
        }
        sleep(LOOK_EVERY).await;
    }
    panic!("nobody was answered {code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_refuses_for_a_while_is_done_afterwards() {
    let _engine = crate::rig::ENGINE.lock().await;
    let mut rig = Rig::start_with(SLOW_TO_LOAD).await;
    let lab = Lab::start().await.expect("a container engine");
    let mut hemostat = up(&rig);
    let mut sick = Vec::new();
    for fault in ["READONLY", "NOSCRIPT", "BUSY", "LOADING"] {
        let name = fault.to_lowercase();
        let said = hemostat.said().len();
        match fault {
            "READONLY" => {
                // The replica of a primary that is not there keeps its data and takes no writes.
                rig.redis_says(&["REPLICAOF", "127.0.0.1", "1"]).await;
                lab.run(&name, CRASH_ONCE, enabled).await.expect("a container");
                told(&hemostat, said, "this Redis is a replica").await;
                rig.redis_says(&["REPLICAOF", "NO", "ONE"]).await;
            }
            "NOSCRIPT" => {
                rig.redis_says(&["SCRIPT", "FLUSH"]).await;
                lab.run(&name, CRASH_ONCE, enabled).await.expect("a container");
                answered(&rig, "NOSCRIPT").await;
            }
            "BUSY" => {
                let mut connection = rig.redis.connection().await.expect("Redis answers");
                let busy = tokio::spawn(async move {
                    redis::cmd("EVAL").arg("while true do end").arg(0).exec_async(&mut connection).await
                });
                lab.run(&name, CRASH_ONCE, enabled).await.expect("a container");
                told(&hemostat, said, "Redis is busy with a script").await;
                rig.redis_says(&["SCRIPT", "KILL"]).await;
                busy.await.expect("it ends").expect_err("it is killed");
            }
            _ => {
                rig.redis_says(&["EVAL", PADDING, "0"]).await;
                rig.redis.kill().await.expect("it ends");
                lab.run(&name, CRASH_ONCE, enabled).await.expect("a container");
                rig.redis.start_again().await.expect("it starts");
                answered(&rig, "LOADING").await;
            }
        }
        sick.push(lab.container_name(&name));
        let events = rig.until(fault, LIMIT, |events| sick.iter().all(|name| verified(events, name))).await;
        for name in &sick {
            let about = about(&events, name);
            let started =
                about.iter().filter(|event| matches!(event.data, Data::RemediationStarted(_))).count();
            assert_eq!(started, 1, "{fault}: {name}");
        }
        assert_eq!(count(&events, |data| matches!(data, Data::DeadLetter(_))), 0, "{fault}");
    }
    assert!(hemostat.is_running());
    let (code, _) = hemostat.terminate();
    assert_eq!(code, Some(0));
    lab.cleanup().await.expect("the lab is cleaned up");
}
