//! Exclusive rights, and the replicas that announce themselves: both end by themselves.

use std::sync::Arc;
use std::time::Duration;

use hemostat_event::{Role, Subject};

use super::events::{at, change, host, host_named, recovered, subject};
use super::{Harness, LONG, OUTPUT, SPAN, all, commit, made};
use crate::log::{AgentPresence, Commit, CommitAnswer, CommitInput, EventLog, Lease, StateChange};

/// Case: one owner at a time.
pub async fn a_lease_is_exclusive(harness: &dyn Harness) {
    let (log, second) = (harness.log(), harness.second().await);
    let lease = taken(&log, "a", LONG).await;
    assert_eq!((lease.name.as_str(), &lease.host), (NAME, &host()));
    harness.advance(SPAN).await;
    assert_eq!(lease_for(&second, "b", LONG).await, None);
}

/// Case: the owner keeps what it has, also through another client.
pub async fn an_owner_renews_under_the_same_epoch(harness: &dyn Harness) {
    let lease = taken(&harness.log(), "a", LONG).await;
    for client in [harness.log(), harness.second().await] {
        assert_eq!(lease_for(&client, "a", LONG).await.as_ref(), Some(&lease));
    }
}

/// Case: the next owner has a greater epoch.
pub async fn a_lease_ends_by_itself(harness: &dyn Harness) {
    let log = harness.log();
    let lease = taken(&log, "a", SPAN).await;
    harness.advance(SPAN).await;
    let next = taken(&log, "b", LONG).await;
    assert!(lease.epoch < next.epoch, "{lease:?} {next:?}");
    assert_eq!(lease_for(&log, "a", LONG).await, None);
}

/// Case: the same name again, too late: it may be another process, so what runs under the old epoch is fenced.
pub async fn an_ended_lease_is_not_renewed_but_taken_anew(harness: &dyn Harness) {
    let log = harness.log();
    let old = taken(&log, "a", SPAN).await;
    harness.advance(SPAN).await;
    let new = taken(&log, "a", LONG).await;
    assert!(old.epoch < new.epoch, "{old:?} {new:?}");
    assert_eq!(commit(&log, observation(&old, 1, 0)).await, CommitAnswer::Fenced);
}

/// Case: a renewal prolongs.
pub async fn a_renewed_lease_does_not_end(harness: &dyn Harness) {
    let log = harness.log();
    let lease = taken(&log, "a", SPAN).await;
    for _renewal in 0..3 {
        harness.advance(SPAN / 2).await;
        assert_eq!(taken(&log, "a", SPAN).await, lease);
    }
    assert_eq!(lease_for(&log, "b", LONG).await, None);
}

/// Case: nobody waits for the end of a lease that was given back; epochs grow all the same.
pub async fn a_released_lease_can_be_taken_at_once(harness: &dyn Harness) {
    let log = harness.log();
    let first = taken(&log, "a", LONG).await;
    log.release(&first, "a").await.expect("the log is there");
    let second = taken(&log, "b", LONG).await;
    log.release(&second, "b").await.expect("the log is there");
    let third = taken(&log, "a", LONG).await;
    assert!(first.epoch < second.epoch && second.epoch < third.epoch, "{first:?} {second:?} {third:?}");
}

/// Case: a zombie gives back what is no longer its own.
pub async fn a_release_by_another_changes_nothing(harness: &dyn Harness) {
    let log = harness.log();
    let old = taken(&log, "a", LONG).await;
    log.release(&old, "a").await.expect("the log is there");
    let lease = taken(&log, "b", LONG).await;
    log.release(&old, "a").await.expect("the log is there");
    log.release(&lease, "a").await.expect("the log is there");
    assert_eq!(lease_for(&log, "c", LONG).await, None);
    assert_eq!(lease_for(&log, "b", LONG).await, Some(lease));
}

/// Case: a zombie under the name of the present owner; the epoch tells them apart.
pub async fn a_release_under_a_stale_epoch_changes_nothing(harness: &dyn Harness) {
    let log = harness.log();
    let old = taken(&log, "a", LONG).await;
    log.release(&old, "a").await.expect("the log is there");
    let lease = taken(&log, "a", LONG).await;
    log.release(&old, "a").await.expect("the log is there");
    assert_eq!(lease_for(&log, "b", LONG).await, None);
    assert_eq!(commit(&log, observation(&lease, 1, 0)).await, CommitAnswer::Committed(vec![1]));
}

/// Case: two engines, two monitors.
pub async fn leases_are_apart_by_name(harness: &dyn Harness) {
    let log = harness.log();
    let one = taken(&log, "a", LONG).await;
    let host = host_named("web-2");
    let other =
        log.lease("engine:web-2", &host, "b", LONG).await.expect("the log is there").expect("it is free");
    assert_eq!((one.host, other.host, other.name), (super::events::host(), host, "engine:web-2".to_owned()));
}

/// Case: an observation.
pub async fn a_commit_under_a_lease_is_made(harness: &dyn Harness) {
    let log = harness.log();
    let lease = taken(&log, "a", LONG).await;
    assert_eq!(commit(&log, observation(&lease, 1, 0)).await, CommitAnswer::Committed(vec![1]));
    assert_eq!(commit(&log, observation(&lease, 2, 1)).await, CommitAnswer::Committed(vec![2]));
    let state = log.load(Role::Monitor, &[subject("db")]).await.expect("the log is there");
    assert_eq!(state, [change(1, "seen").next]);
}

/// Case: a monitor that lost its lease without noticing.
pub async fn a_commit_under_a_stale_epoch_is_fenced(harness: &dyn Harness) {
    let log = harness.log();
    let old = taken(&log, "a", SPAN).await;
    assert!(made(&commit(&log, observation(&old, 1, 0)).await));
    harness.advance(SPAN).await;
    let new = taken(&log, "b", LONG).await;
    for step in [observation(&old, 2, 1), observation(&old, 1, 0)] {
        assert_eq!(commit(&log, step).await, CommitAnswer::Fenced);
    }
    let later = Lease { epoch: new.epoch + 1, ..new.clone() };
    assert_eq!(commit(&log, observation(&later, 2, 1)).await, CommitAnswer::Fenced);
    assert_eq!(all(&log, &OUTPUT).await.len(), 1);
    assert!(made(&commit(&log, observation(&new, 2, 1)).await));
}

/// Case: the log was away for longer than the lease. What was seen meanwhile is not lost, as long as nobody else
/// has begun to look.
pub async fn a_commit_under_an_ended_lease_is_made_until_somebody_takes_it(harness: &dyn Harness) {
    let log = harness.log();
    let lease = taken(&log, "a", SPAN).await;
    harness.advance(SPAN).await;
    assert!(made(&commit(&log, observation(&lease, 1, 0)).await));
    taken(&log, "b", LONG).await;
    assert_eq!(commit(&log, observation(&lease, 2, 1)).await, CommitAnswer::Fenced);
}

/// Case: given back is given back; and a lease that never was.
pub async fn a_commit_under_a_released_lease_is_fenced(harness: &dyn Harness) {
    let log = harness.log();
    let never = Lease { name: NAME.to_owned(), host: host(), epoch: 1 };
    assert_eq!(commit(&log, observation(&never, 1, 0)).await, CommitAnswer::Fenced);
    let lease = taken(&log, "a", LONG).await;
    log.release(&lease, "a").await.expect("the log is there");
    assert_eq!(commit(&log, observation(&lease, 1, 0)).await, CommitAnswer::Fenced);
    assert!(all(&log, &OUTPUT).await.is_empty());
}

/// Case: the monitor after a restart sees what the one before it saw, under its own lease too.
pub async fn a_repeated_commit_under_a_lease_is_a_duplicate(harness: &dyn Harness) {
    let log = harness.log();
    let lease = taken(&log, "a", LONG).await;
    assert!(made(&commit(&log, observation(&lease, 1, 0)).await));
    assert_eq!(commit(&log, observation(&lease, 1, 0)).await, CommitAnswer::Duplicate);
    log.release(&lease, "a").await.expect("the log is there");
    let next = taken(&log, "b", LONG).await;
    assert_eq!(commit(&log, observation(&next, 1, 1)).await, CommitAnswer::Duplicate);
    assert_eq!(all(&log, &OUTPUT).await.len(), 1);
}

/// Case: the state moved on.
pub async fn a_commit_under_a_lease_on_another_version_conflicts(harness: &dyn Harness) {
    let log = harness.log();
    let lease = taken(&log, "a", LONG).await;
    assert_eq!(commit(&log, observation(&lease, 1, 1)).await, CommitAnswer::Conflict);
    assert!(made(&commit(&log, observation(&lease, 1, 0)).await));
}

/// Case: several replicas start at once.
pub async fn of_concurrent_owners_one_gets_the_lease(harness: &dyn Harness) {
    let clients = [harness.log(), harness.second().await];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let log = Arc::clone(&clients[n % 2]);
        tasks.spawn(async move { lease_for(&log, &format!("monitor-{n}"), LONG).await });
    }
    let leases = tasks.join_all().await;
    assert_eq!(leases.iter().flatten().count(), 1, "{leases:?}");
}

/// Case: who is there, seen by another client; roles of one instance are apart.
pub async fn announced_replicas_are_listed(harness: &dyn Harness) {
    let log = harness.log();
    assert_eq!(log.agents().await.expect("the log is there"), []);
    let announced = [presence(Role::Alert, "x"), presence(Role::Monitor, "x"), presence(Role::Monitor, "y")];
    for presence in &announced {
        log.announce(presence, LONG).await.expect("the log is there");
    }
    assert_eq!(agents(&harness.second().await).await, announced);
}

/// Case: a replica that died.
pub async fn a_replica_that_is_not_announced_again_is_not_listed(harness: &dyn Harness) {
    let log = harness.log();
    log.announce(&presence(Role::Monitor, "x"), SPAN).await.expect("the log is there");
    log.announce(&presence(Role::Alert, "y"), LONG).await.expect("the log is there");
    harness.advance(SPAN).await;
    assert_eq!(agents(&log).await, [presence(Role::Alert, "y")]);
}

/// Case: a sign of life, with news.
pub async fn announcing_again_replaces_and_prolongs(harness: &dyn Harness) {
    let log = harness.log();
    log.announce(&presence(Role::Monitor, "x"), SPAN).await.expect("the log is there");
    let restarted =
        AgentPresence { started_at: at(9), version: "2".to_owned(), ..presence(Role::Monitor, "x") };
    log.announce(&restarted, LONG).await.expect("the log is there");
    harness.advance(SPAN).await;
    assert_eq!(agents(&log).await, [restarted]);
}

const NAME: &str = "engine:web-1";

async fn lease_for(log: &Arc<dyn EventLog>, owner: &str, ttl: Duration) -> Option<Lease> {
    log.lease(NAME, &host(), owner, ttl).await.expect("the log is there")
}

async fn taken(log: &Arc<dyn EventLog>, owner: &str, ttl: Duration) -> Lease {
    lease_for(log, owner, ttl).await.expect("the lease is free")
}

/// The `n`-th observation of the cases' container.
fn observation(lease: &Lease, n: usize, version: u64) -> Commit {
    let subject: Subject = subject("db");
    let seen = hemostat_event::EventId::observed(&subject, Role::Monitor, at(1), n);
    let output = recovered("db", seen, 0);
    Commit {
        role: Role::Monitor,
        key: output.envelope.id,
        input: CommitInput::Lease { lease: lease.clone() },
        state: Some(StateChange { ..change(version, "seen") }),
        emit: vec![output],
        timers: Vec::new(),
        subject,
    }
}

fn presence(role: Role, instance: &str) -> AgentPresence {
    AgentPresence {
        role,
        instance: instance.to_owned(),
        host: host(),
        version: "1".to_owned(),
        started_at: at(1),
    }
}

/// The replicas, sorted by name.
async fn agents(log: &Arc<dyn EventLog>) -> Vec<AgentPresence> {
    let mut agents = log.agents().await.expect("the log is there");
    agents.sort_by_key(|agent| (agent.instance.clone(), agent.role.as_str()));
    agents
}
