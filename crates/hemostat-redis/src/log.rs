//! The port on Redis: everything that does not wait on the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use hemostat_agent::log::{
    Abandoned, AgentPresence, Commit, CommitAnswer, CommitInput, Cursors, Entry, EntryId, EntryRef, EventLog,
    GroupReader, GroupStatus, Lease, LogError, Membership, Operations, Partition, Pressure, Redriven, Stored,
    StreamName, Trim, Trimmed, Versioned, letter_event,
};
use hemostat_core::role::Timer;
use hemostat_event::{DeadLetter, Event, EventType, HostName, Role, Source, Subject, Timestamp};
use redis::{Cmd, Value};

use crate::commit::{self, BATCH_MAX};
use crate::fault::{self, Effect};
use crate::reader::Reader;
use crate::scripts::{APPEND, COMMIT, GIVE_BACK, LEASE, RELEASE, TAKE_DUE};
use crate::shared::Shared;
use crate::{keeping, redriving, reply, status};

/// Entries of the stream of samples that are kept whatever their age, give or take a node of the stream: at some 600
/// bytes each about 600 MB. Samples are trimmed by age; this bounds the memory where a large fleet is polled often
/// and nothing else would, since an age is no number of bytes. A day of a poll every 30 seconds on 340 containers.
const SAMPLES_KEPT: usize = 1_000_000;
/// States in one step of a walk over them.
const SCAN_COUNT: usize = 500;

/// The event log on a Redis: on one server, on one behind sentinels, or on a cluster.
pub struct RedisLog {
    pub(crate) shared: Arc<Shared>,
    pub(crate) warnings: Vec<String>,
    pub(crate) found: String,
}

impl RedisLog {
    /// What an operator should know about this Redis.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Entries found by this process's readers to have been trimmed away before they were dealt with.
    #[must_use]
    pub fn lost_while_pending(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// The partition in which a commit is made, where all of it belongs to one.
    fn place(&self, commit: &Commit) -> Result<Partition, LogError> {
        let partition = match &commit.input {
            CommitInput::Entry { at, .. } => at.partition,
            CommitInput::Timer { timer, .. } => self.shared.partition_of(&timer.subject.host()),
            CommitInput::Lease { lease } => self.shared.partition_of(&lease.host),
        };
        // The host of every event is looked at below, at the price of a copy and a checksum.
        if self.shared.partitions == 1 {
            return Ok(partition);
        }
        let hosts = commit.emit.iter().map(|event| self.shared.partition_of(&event.envelope.host));
        let subjects = commit.timers.iter().map(|timer| &timer.subject).chain([&commit.subject]);
        let subjects = subjects.map(|subject| self.shared.partition_of(&subject.host()));
        if hosts.chain(subjects).all(|other| other == partition) {
            return Ok(partition);
        }
        Err(out_of_partition(&format!("a commit of {} about `{}`", commit.role, commit.subject)))
    }

    fn script_call(&self, script: &crate::scripts::Script, partition: Partition) -> Cmd {
        script.call(&self.shared.keys.seq(partition))
    }

    /// Makes the commits of one partition.
    async fn commit_in(
        &self,
        partition: Partition,
        commits: &[&Commit],
    ) -> Result<Vec<CommitAnswer>, LogError> {
        let mut calls = redis::pipe();
        for batch in commits.chunks(BATCH_MAX) {
            let mut call = self.script_call(&COMMIT, partition);
            call.arg(batch.len());
            for commit in batch {
                commit::write(&mut call, commit);
            }
            calls.add_command(call);
        }
        let mut answers = Vec::with_capacity(commits.len());
        let numbers = match self.shared.durable_commits(commits) {
            Some((durable, class)) => {
                durable.ask(&self.shared, partition, class, Some(&COMMIT), &calls).await?
            }
            None => self.shared.link.run(&COMMIT, &calls, Effect::Write).await?,
        };
        for numbers in numbers {
            for number in reply::array(numbers)? {
                let commit = commits.get(answers.len()).ok_or_else(|| fault::unexpected("a commit"))?;
                answers.push(commit::answer(commit, &number)?);
            }
        }
        if answers.len() == commits.len() { Ok(answers) } else { Err(fault::unexpected("a commit")) }
    }

    /// Sends requests for states, each to its partition.
    async fn read_states(&self, role: Role, requests: Vec<(Partition, Cmd)>) -> Result<Vec<Value>, LogError> {
        let mut all = redis::pipe();
        let Some((durable, class)) = self.shared.durable_states(role) else {
            for (_, request) in requests {
                all.add_command(request);
            }
            return self.shared.link.ask(&all, Effect::Read).await;
        };
        // Each partition has a connection of its own, and none waits for the replicas of another.
        let asked = requests.into_iter().map(|(partition, request)| async move {
            let mut one = redis::pipe();
            one.add_command(request);
            durable.ask(&self.shared, partition, class, None, &one).await
        });
        Ok(join_all(asked).await.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    async fn take_due_in(
        &self,
        partition: Partition,
        role: Role,
        host: Option<&HostName>,
        consumer: &str,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<Timer>, LogError> {
        let mut call = self.script_call(&TAKE_DUE, partition);
        call.arg(role.as_str()).arg(consumer).arg(micros(lease)).arg(max);
        call.arg(host.map_or_else(String::new, commit::timers_of));
        let answer = self.shared.link.run_one(&TAKE_DUE, call, Effect::Write).await?;
        let mut timers = Vec::new();
        let mut flat = reply::array(answer)?.into_iter();
        while let (Some(member), Some(due)) = (flat.next(), flat.next()) {
            let (member, due) = (reply::text(member)?, reply::text(due)?);
            timers
                .push(commit::timer(&member, &due).ok_or_else(|| fault::unexpected("a request for timers"))?);
        }
        Ok(timers)
    }
}

#[async_trait]
impl EventLog for RedisLog {
    async fn now(&self) -> Result<Timestamp, LogError> {
        let time: (i64, i64) = self.shared.link.query(redis::cmd("TIME"), Effect::Read).await?;
        Ok(Timestamp::from_micros(time.0.saturating_mul(1_000_000).saturating_add(time.1)))
    }

    fn partitions(&self) -> Vec<Partition> {
        self.shared.partitions().collect()
    }

    fn partition_of(&self, host: &HostName) -> Partition {
        self.shared.partition_of(host)
    }

    async fn append(&self, events: &[Event]) -> Result<Vec<u64>, LogError> {
        let Some(first) = events.first() else { return Ok(Vec::new()) };
        let partition = self.shared.partition_of(&first.envelope.host);
        if events.iter().any(|event| self.shared.partition_of(&event.envelope.host) != partition) {
            return Err(out_of_partition("the events of one append"));
        }
        let mut call = self.script_call(&APPEND, partition);
        call.arg(events.len());
        for event in events {
            let samples = event.event_type() == EventType::ContainerSample;
            if samples {
                call.arg(SAMPLES_KEPT);
            } else {
                call.arg("");
            }
            commit::write_event(&mut call, event);
        }
        let numbers = match self.shared.durable_events(events) {
            Some((durable, class)) => {
                let mut calls = redis::pipe();
                calls.add_command(call);
                let answers = durable.ask(&self.shared, partition, class, Some(&APPEND), &calls).await?;
                answers.into_iter().next().unwrap_or_default()
            }
            None => self.shared.link.run_one(&APPEND, call, Effect::Write).await?,
        };
        let numbers = reply::array(numbers)?;
        numbers.iter().map(|number| Ok(reply::integer(number)?.unsigned_abs())).collect()
    }

    async fn load(&self, role: Role, subjects: &[Subject]) -> Result<Vec<Versioned>, LogError> {
        let mut states = vec![Versioned::default(); subjects.len()];
        let by_partition = group_by(subjects.iter().enumerate(), |(_, subject)| {
            Ok(self.shared.partition_of(&subject.host()))
        })?;
        let mut requests = Vec::new();
        for (partition, subjects) in &by_partition {
            let mut request = redis::cmd("HMGET");
            request.arg(self.shared.keys.state(*partition, role));
            for (_, subject) in subjects {
                request.arg(subject.as_str());
            }
            requests.push((*partition, request));
        }
        if requests.is_empty() {
            return Ok(states);
        }
        let answers = self.read_states(role, requests).await?;
        for (subjects, answer) in by_partition.into_values().zip(answers) {
            let answer = answer.extract_error().map_err(|error| fault::asking(error, Effect::Read))?;
            for ((place, _), value) in subjects.into_iter().zip(reply::array(answer)?) {
                states[place] = commit::state(value)?;
            }
        }
        Ok(states)
    }

    async fn load_host(&self, role: Role, host: &HostName) -> Result<Vec<(Subject, Versioned)>, LogError> {
        let key = self.shared.keys.state(self.shared.partition_of(host), role);
        // A walk may come past a state twice.
        let mut states = BTreeMap::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut request = redis::cmd("HSCAN");
            // Host names have none of the characters that mean something in a pattern.
            request.arg(&key).arg(&cursor).arg("MATCH").arg(format!("{host}/*")).arg("COUNT").arg(SCAN_COUNT);
            let [next, found] = reply::parts(self.shared.link.query(request, Effect::Read).await?)?;
            let mut flat = reply::array(found)?.into_iter();
            while let (Some(subject), Some(value)) = (flat.next(), flat.next()) {
                let subject: Result<Subject, _> = reply::text(subject)?.parse();
                let subject = subject.map_err(|_other| fault::unexpected("a request for states"))?;
                states.insert(subject, commit::state(value)?);
            }
            cursor = reply::text(next)?;
            if cursor == "0" {
                return Ok(states.into_iter().collect());
            }
        }
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<CommitAnswer>, LogError> {
        let by_partition = group_by(commits.iter().enumerate(), |(_, commit)| self.place(commit))?;
        let mut answers: Vec<_> = commits.iter().map(|_| CommitAnswer::Fenced).collect();
        let made = by_partition.into_iter().map(|(partition, placed)| async move {
            let (places, commits): (Vec<usize>, Vec<_>) = placed.into_iter().unzip();
            Ok::<_, LogError>((places, self.commit_in(partition, &commits).await?))
        });
        for made in join_all(made).await {
            let (places, made) = made?;
            for (place, answer) in places.into_iter().zip(made) {
                answers[place] = answer;
            }
        }
        Ok(answers)
    }

    async fn join(&self, membership: Membership) -> Result<Box<dyn GroupReader>, LogError> {
        Ok(Box::new(Reader::join(Arc::clone(&self.shared), membership).await?))
    }

    async fn advance(
        &self,
        group: Role,
        partition: Partition,
        positions: &[(StreamName, EntryId)],
    ) -> Result<(), LogError> {
        keeping::advance(&self.shared, group, partition, positions).await
    }

    async fn take_due(
        &self,
        role: Role,
        host: Option<&HostName>,
        consumer: &str,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<Timer>, LogError> {
        let partitions = host.map_or_else(|| self.partitions(), |host| vec![self.partition_of(host)]);
        let first = self.shared.turn.fetch_add(1, Ordering::Relaxed) % partitions.len();
        let mut timers: Vec<Timer> = Vec::new();
        let (mut answered, mut away) = (false, None);
        for partition in partitions.iter().cycle().skip(first).take(partitions.len()) {
            let room = max.saturating_sub(timers.len());
            if room == 0 {
                break;
            }
            match self.take_due_in(*partition, role, host, consumer, lease, room).await {
                Ok(taken) => {
                    timers.extend(taken);
                    answered = true;
                }
                // Other partitions may be on other servers.
                Err(failure) if self.shared.link.is_cluster() => away = Some(failure),
                // What was taken before must not be lost until its lease ends; the next call meets the failure.
                Err(_failure) if !timers.is_empty() => break,
                Err(failure) => return Err(failure),
            }
        }
        away.filter(|_| !answered).map_or(Ok(timers), Err)
    }

    async fn give_back(&self, role: Role, consumer: &str, timers: &[Timer]) -> Result<(), LogError> {
        let by_partition =
            group_by(timers.iter(), |timer| Ok(self.shared.partition_of(&timer.subject.host())))?;
        for (partition, timers) in by_partition {
            let mut call = self.script_call(&GIVE_BACK, partition);
            call.arg(role.as_str());
            for timer in timers {
                let due = timer.due.micros();
                call.arg(commit::timer_member(timer)).arg(due).arg(format!("{due} {consumer}"));
            }
            self.shared.link.run_one(&GIVE_BACK, call, Effect::Write).await?;
        }
        Ok(())
    }

    async fn bury(
        &self,
        at: &EntryRef,
        consumer: &str,
        host: &HostName,
        source: &Source,
        letter: DeadLetter,
    ) -> Result<CommitAnswer, LogError> {
        let mut request = redis::cmd("XRANGE");
        let id = at.id.to_string();
        request.arg(self.shared.keys.stream(at.partition, &at.stream)).arg(&id).arg(&id);
        let entries = reply::entries(self.shared.link.query(request, Effect::Read).await?)?;
        let fields = entries.into_iter().next().and_then(|(_, fields)| fields).unwrap_or_default();
        let role = letter.group;
        let event = letter_event(at, &fields, host, source, letter, self.now().await?);
        let subject = Subject::new(host, "letters").expect("a host and a word make a subject");
        let prev = Entry::read(at.clone(), 0, &fields).prev;
        let input =
            CommitInput::Entry { at: at.clone(), prev, consumer: consumer.to_owned(), acknowledge: true };
        // Without a state the subject is not looked at; the letter stands beside the entry, wherever its host is.
        let commit = Commit {
            role,
            subject,
            input,
            key: event.envelope.id,
            state: None,
            emit: vec![event],
            timers: Vec::new(),
        };
        let mut answers = self.commit_in(at.partition, &[&commit]).await?;
        answers.pop().ok_or_else(|| fault::unexpected("a commit"))
    }

    async fn redrive(&self, letter: &EntryRef, by: &str, source: &Source) -> Result<Redriven, LogError> {
        redriving::redrive(&self.shared, letter, by, source, self.now().await?).await
    }

    async fn lease(
        &self,
        name: &str,
        host: &HostName,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, LogError> {
        let mut call = self.script_call(&LEASE, self.shared.partition_of(host));
        call.arg(name).arg(owner).arg(millis(ttl));
        let epoch = reply::integer(&self.shared.link.run_one(&LEASE, call, Effect::Write).await?)?;
        let lease = |epoch| Lease { name: name.to_owned(), host: host.clone(), epoch };
        Ok(u64::try_from(epoch).ok().filter(|epoch| *epoch != 0).map(lease))
    }

    async fn release(&self, lease: &Lease, owner: &str) -> Result<(), LogError> {
        let mut call = self.script_call(&RELEASE, self.shared.partition_of(&lease.host));
        call.arg(&lease.name).arg(owner).arg(lease.epoch);
        self.shared.link.run_one(&RELEASE, call, Effect::Write).await?;
        Ok(())
    }

    async fn announce(&self, presence: &AgentPresence, ttl: Duration) -> Result<(), LogError> {
        status::announce(&self.shared, presence, ttl).await
    }

    async fn agents(&self) -> Result<Vec<AgentPresence>, LogError> {
        status::agents(&self.shared).await
    }

    async fn streams(&self, partition: Partition) -> Result<Vec<StreamName>, LogError> {
        status::streams(&self.shared, partition).await
    }

    async fn stored(
        &self,
        partition: Partition,
        stream: &StreamName,
        after: EntryId,
        max: usize,
    ) -> Result<Vec<Stored>, LogError> {
        // Redis refuses to begin after the last possible id.
        if max == 0 || after == EntryId::MAX {
            return Ok(Vec::new());
        }
        let mut request = redis::cmd("XRANGE");
        let key = self.shared.keys.stream(partition, stream);
        request.arg(key).arg(format!("({after}")).arg("+").arg("COUNT").arg(max);
        let answer: Value = self.shared.link.query(request, Effect::Read).await?;
        reply::stored(partition, stream, answer)
    }

    async fn groups(&self) -> Result<Vec<GroupStatus>, LogError> {
        status::groups(&self.shared).await
    }

    async fn cursors(&self, partition: Partition) -> Result<Cursors, LogError> {
        status::cursors(&self.shared, partition).await
    }

    async fn pressure(&self, partition: Partition) -> Result<Pressure, LogError> {
        keeping::pressure(&self.shared, partition).await
    }

    async fn operations(&self) -> Result<Operations, LogError> {
        keeping::operations(&self.shared).await
    }

    async fn trim(&self, step: &Trim) -> Result<Trimmed, LogError> {
        keeping::trim(&self.shared, step).await
    }

    async fn reap(&self, partition: Partition, silent: Duration) -> Result<Vec<Abandoned>, LogError> {
        keeping::reap(&self.shared, partition, silent).await
    }
}

/// Whole milliseconds, as Redis takes them.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(SPAN_MAX)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).min(SPAN_MAX)
}

/// Longest span a script is given: added to the time it is still exact as a double.
const SPAN_MAX: u64 = 1 << 51;

fn out_of_partition(what: &str) -> LogError {
    let reason = format!("{what} would be in several partitions; what is written together is about one host");
    LogError::Refused { reason, source: None }
}

/// Items by the partition they are in, each group in its own order.
fn group_by<T>(
    items: impl Iterator<Item = T>,
    partition: impl Fn(&T) -> Result<Partition, LogError>,
) -> Result<BTreeMap<Partition, Vec<T>>, LogError> {
    let mut groups: BTreeMap<Partition, Vec<T>> = BTreeMap::new();
    for item in items {
        groups.entry(partition(&item)?).or_default().push(item);
    }
    Ok(groups)
}
