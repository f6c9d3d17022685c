//! What lies between one replica and the log: requests and answers that are late, lost, repeated or out of order, and
//! replicas whose requests hang.
//!
//! A replica that ends takes along what it has not sent and what it has not been answered; a commit that was given up
//! by its sender may arrive all the same, long after (`Fate::Straggles`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hemostat_agent::log::{
    Abandoned, AgentPresence, Commit, CommitAnswer, Cursors, Entry, EntryId, EntryRef, EventLog, GroupReader,
    GroupStatus, Lease, LogError, Membership, Partition, Pressure, Redriven, Stored, StreamName, Trim,
    Trimmed, Versioned,
};
use hemostat_core::role::Timer;
use hemostat_event::{DeadLetter, Event, HostName, Role, Source, Subject, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};

use super::random::Random;
use super::stage::Stage;
use super::tally::Mark;

/// The line of one replica to everything outside it.
pub(super) struct Line {
    pub(super) stage: Arc<Stage>,
    /// The replica's number.
    number: u32,
    random: Mutex<Random>,
    /// Nothing goes out and nothing comes in before this.
    stalled: Mutex<Stalled>,
}

#[derive(Debug, Clone, Copy)]
struct Stalled {
    until: Instant,
    /// Whether that is for longer than others wait.
    long: bool,
}

/// What happens to one request.
enum Fate {
    Plain,
    /// It is under way for some time, and so is its answer.
    Slow(Duration, Duration),
    /// It does not arrive.
    Lost(Duration),
    /// It is carried out, and its answer does not arrive.
    Unanswered(Duration),
    /// Its sender gives it up, and it arrives later.
    Straggles(Duration),
}

impl Line {
    pub(super) fn new(stage: &Arc<Stage>, number: u32, random: Random) -> Arc<Self> {
        let stalled = Stalled { until: Instant::now(), long: false };
        Arc::new(Self {
            stage: Arc::clone(stage),
            number,
            random: Mutex::new(random),
            stalled: Mutex::new(stalled),
        })
    }

    /// Lets everything hang for `span`.
    pub(super) fn stall(&self, span: Duration) {
        let long = self.stage.scenario.claim_after < span;
        *lock(&self.stalled) = Stalled { until: Instant::now() + span, long };
        if long {
            self.stage.tally.count(Mark::Zombie);
        }
    }

    /// Waits until nothing hangs; whether it hung for longer than others wait.
    pub(super) async fn gate(&self) -> bool {
        let mut long = false;
        loop {
            let stalled = *lock(&self.stalled);
            if stalled.until <= Instant::now() {
                return long;
            }
            long |= stalled.long;
            sleep_until(stalled.until).await;
        }
    }

    /// A moment in the midst of the work: here it matters most whether a replica dies or hangs. Answers as
    /// [`Line::gate`] does.
    pub(super) async fn peril(&self) -> bool {
        let weather = self.stage.weather();
        let (dies, hangs, span) = {
            let mut random = self.random();
            (random.chance(weather.death), random.chance(weather.hang), random.secs(1, 20))
        };
        if dies && self.stage.doomed.try_send(self.number).is_ok() {
            self.stage.tally.count(Mark::CrashAtWork);
            std::future::pending::<()>().await;
        }
        if hangs {
            self.stall(self.stage.scenario.claim_after + span);
        }
        self.gate().await
    }

    /// Draws for what happens at one moment.
    pub(super) fn random(&self) -> MutexGuard<'_, Random> {
        lock(&self.random)
    }

    fn fate(&self) -> Fate {
        let weather = self.stage.weather();
        let mut random = self.random();
        let tally = &self.stage.tally;
        if random.chance(weather.lost_request) {
            tally.count(Mark::LostRequest);
            Fate::Lost(random.millis(0, 2_000))
        } else if random.chance(weather.lost_answer) {
            tally.count(Mark::LostAnswer);
            Fate::Unanswered(random.millis(0, 2_000))
        } else if random.chance(weather.straggler) {
            Fate::Straggles(random.millis(1, 20_000))
        } else if random.chance(weather.delay) {
            tally.count(Mark::Delay);
            // Few are really late.
            let most = random.pick(&[5, 5, 5, 100, 100, 4_000]);
            Fate::Slow(random.millis(0, most), random.millis(0, most))
        } else {
            Fate::Plain
        }
    }

    /// Sends a request through the line.
    async fn send<T>(
        &self,
        request: impl Future<Output = Result<T, LogError>> + Send,
    ) -> Result<T, LogError> {
        self.gate().await;
        let fate = self.fate();
        self.send_as(fate, request).await
    }

    async fn send_as<T>(
        &self,
        fate: Fate,
        request: impl Future<Output = Result<T, LogError>> + Send,
    ) -> Result<T, LogError> {
        let answer = match fate {
            Fate::Plain => request.await,
            Fate::Slow(there, back) => {
                sleep(there).await;
                let answer = request.await;
                sleep(back).await;
                answer
            }
            Fate::Lost(after) | Fate::Straggles(after) => {
                sleep(after.min(GIVEN_UP)).await;
                Err(LogError::Unavailable("the request was lost".into()))
            }
            Fate::Unanswered(after) => {
                let answer = request.await;
                sleep(after).await;
                answer.and(Err(LogError::Indefinite("the answer was lost".into())))
            }
        };
        self.gate().await;
        answer
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<CommitAnswer>, LogError> {
        if self.peril().await {
            self.stage.tally.count(Mark::LateCommit);
        }
        let fate = self.fate();
        if let Fate::Straggles(after) = fate {
            let (stage, commits) = (Arc::clone(&self.stage), commits.to_vec());
            stage.tally.count(Mark::Straggler);
            tokio::spawn(async move {
                sleep(after).await;
                // Nobody hears the answer.
                let _unheard = carry_out(&stage, &commits).await;
            });
            sleep(after.min(GIVEN_UP)).await;
            self.gate().await;
            return Err(LogError::Indefinite("the answer did not come in time".into()));
        }
        let answer = self.send_as(fate, carry_out(&self.stage, commits)).await;
        self.peril().await;
        answer
    }
}

/// Has the log make commits, in the sight of the referee.
async fn carry_out(stage: &Stage, commits: &[Commit]) -> Result<Vec<CommitAnswer>, LogError> {
    let answers = stage.log.commit(commits).await?;
    for (commit, answer) in commits.iter().zip(&answers) {
        stage.referee.committed(commit, answer);
        match answer {
            CommitAnswer::Fenced => stage.tally.count(Mark::Fenced),
            CommitAnswer::Conflict => stage.tally.count(Mark::Conflict),
            CommitAnswer::Duplicate => stage.tally.count(Mark::Duplicate),
            CommitAnswer::Early => stage.tally.count(Mark::Early),
            CommitAnswer::Committed(_) => {}
        }
    }
    Ok(answers)
}

/// Longest time a replica waits for an answer.
const GIVEN_UP: Duration = Duration::from_secs(2);

/// The log as one replica reaches it.
pub(super) struct Client(pub(super) Arc<Line>);

#[async_trait]
impl EventLog for Client {
    async fn now(&self) -> Result<Timestamp, LogError> {
        self.0.send(self.0.stage.log.now()).await
    }

    fn partitions(&self) -> Vec<Partition> {
        self.0.stage.log.partitions()
    }

    fn partition_of(&self, host: &HostName) -> Partition {
        self.0.stage.log.partition_of(host)
    }

    async fn append(&self, events: &[Event]) -> Result<Vec<u64>, LogError> {
        self.0.send(self.0.stage.log.append(events)).await
    }

    async fn load(&self, role: Role, subjects: &[Subject]) -> Result<Vec<Versioned>, LogError> {
        self.0.send(self.0.stage.log.load(role, subjects)).await
    }

    async fn load_host(&self, role: Role, host: &HostName) -> Result<Vec<(Subject, Versioned)>, LogError> {
        self.0.send(self.0.stage.log.load_host(role, host)).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<CommitAnswer>, LogError> {
        self.0.commit(commits).await
    }

    async fn join(&self, membership: Membership) -> Result<Box<dyn GroupReader>, LogError> {
        // A longer wait than is allowed costs a simulated day less, and changes nothing: an entry ends it.
        let membership = Membership { block: BLOCK.min(membership.claim_after / 3), ..membership };
        let reader = self.0.send(self.0.stage.log.join(membership.clone())).await?;
        Ok(Box::new(Reader { line: Arc::clone(&self.0), reader, membership, kept_back: VecDeque::new() }))
    }

    async fn advance(
        &self,
        group: Role,
        partition: Partition,
        positions: &[(StreamName, EntryId)],
    ) -> Result<(), LogError> {
        let log: &dyn EventLog = &self.0.stage.log;
        self.0.send(log.advance(group, partition, positions)).await
    }

    async fn take_due(
        &self,
        role: Role,
        host: Option<&HostName>,
        consumer: &str,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<Timer>, LogError> {
        let stage = &self.0.stage;
        self.0
            .send(async {
                let timers = stage.log.take_due(role, host, consumer, lease, max).await?;
                stage.referee.taken(role, &timers, consumer);
                Ok(timers)
            })
            .await
    }

    async fn redrive(&self, letter: &EntryRef, by: &str, source: &Source) -> Result<Redriven, LogError> {
        self.0.send(self.0.stage.log.redrive(letter, by, source)).await
    }

    async fn give_back(&self, role: Role, consumer: &str, timers: &[Timer]) -> Result<(), LogError> {
        self.0.send(self.0.stage.log.give_back(role, consumer, timers)).await
    }

    async fn bury(
        &self,
        at: &EntryRef,
        consumer: &str,
        host: &HostName,
        source: &Source,
        letter: DeadLetter,
    ) -> Result<CommitAnswer, LogError> {
        let (stage, role) = (&self.0.stage, letter.group);
        self.0.peril().await;
        self.0
            .send(async {
                let answer = stage.log.bury(at, consumer, host, source, letter).await?;
                stage.referee.buried(role, at, consumer, &answer);
                Ok(answer)
            })
            .await
    }

    async fn lease(
        &self,
        name: &str,
        host: &HostName,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, LogError> {
        let stage = &self.0.stage;
        self.0
            .send(async {
                let lease = stage.log.lease(name, host, owner, ttl).await?;
                if let Some(lease) = &lease
                    && stage.referee.leased(lease, owner)
                {
                    stage.tally.count(Mark::LeaseMoved);
                }
                Ok(lease)
            })
            .await
    }

    async fn release(&self, lease: &Lease, owner: &str) -> Result<(), LogError> {
        let stage = &self.0.stage;
        self.0
            .send(async {
                stage.log.release(lease, owner).await?;
                stage.referee.released(lease, owner);
                Ok(())
            })
            .await
    }

    async fn announce(&self, presence: &AgentPresence, ttl: Duration) -> Result<(), LogError> {
        self.0.send(self.0.stage.log.announce(presence, ttl)).await
    }

    async fn agents(&self) -> Result<Vec<AgentPresence>, LogError> {
        self.0.send(self.0.stage.log.agents()).await
    }

    async fn streams(&self, partition: Partition) -> Result<Vec<StreamName>, LogError> {
        self.0.send(self.0.stage.log.streams(partition)).await
    }

    async fn stored(
        &self,
        partition: Partition,
        stream: &StreamName,
        after: EntryId,
        max: usize,
    ) -> Result<Vec<Stored>, LogError> {
        self.0.send(self.0.stage.log.stored(partition, stream, after, max)).await
    }

    async fn groups(&self) -> Result<Vec<GroupStatus>, LogError> {
        self.0.send(self.0.stage.log.groups()).await
    }

    async fn cursors(&self, partition: Partition) -> Result<Cursors, LogError> {
        self.0.send(self.0.stage.log.cursors(partition)).await
    }

    async fn pressure(&self, partition: Partition) -> Result<Pressure, LogError> {
        self.0.send(self.0.stage.log.pressure(partition)).await
    }

    async fn trim(&self, step: &Trim) -> Result<Trimmed, LogError> {
        self.0.send(self.0.stage.log.trim(step)).await
    }

    async fn reap(&self, partition: Partition, silent: Duration) -> Result<Vec<Abandoned>, LogError> {
        self.0.send(self.0.stage.log.reap(partition, silent)).await
    }
}

/// Longest wait of a read.
const BLOCK: Duration = Duration::from_secs(5);

struct Reader {
    line: Arc<Line>,
    reader: Box<dyn GroupReader>,
    membership: Membership,
    /// What was delivered and not handed on.
    kept_back: VecDeque<Entry>,
}

#[async_trait]
impl GroupReader for Reader {
    async fn read(&mut self) -> Result<Vec<Entry>, LogError> {
        if !self.kept_back.is_empty() {
            let span = self.line.random().millis(0, 3_000);
            sleep(span).await;
            self.line.gate().await;
            return Ok(self.kept_back.drain(..).collect());
        }
        let (line, reader, membership) = (&self.line, &mut self.reader, &self.membership);
        let entries = line
            .send(async {
                let entries = reader.read().await?;
                for entry in &entries {
                    if line.stage.referee.delivered(membership.role, &entry.at, &membership.consumer) {
                        line.stage.tally.count(Mark::TakenOver);
                    }
                }
                Ok(entries)
            })
            .await?;
        if !entries.is_empty() {
            line.peril().await;
        }
        Ok(self.disorder(entries))
    }

    async fn renew(&mut self, entries: &[EntryRef]) -> Result<(), LogError> {
        let (line, reader) = (&self.line, &mut self.reader);
        line.send(reader.renew(entries)).await
    }

    async fn hand_over(&mut self) -> Result<(), LogError> {
        let (line, reader) = (&self.line, &mut self.reader);
        line.send(reader.hand_over()).await
    }
}

impl Reader {
    /// Hands entries on in another order between streams, and those of one stream perhaps later. Within a stream the
    /// order stays: the port promises it.
    fn disorder(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let weather = self.line.stage.weather();
        let tally = &self.line.stage.tally;
        let mut random = self.line.random();
        if entries.len() < 2 || !random.chance(weather.reorder) {
            return entries;
        }
        let mut streams: Vec<((Partition, StreamName), VecDeque<Entry>)> = Vec::new();
        let mut turns = Vec::with_capacity(entries.len());
        for entry in entries {
            let of = (entry.at.partition, entry.at.stream.clone());
            let place = streams.iter().position(|(name, _)| *name == of).unwrap_or_else(|| {
                streams.push((of, VecDeque::new()));
                streams.len() - 1
            });
            streams[place].1.push_back(entry);
            turns.push(place);
        }
        if 1 < streams.len() {
            random.shuffle(&mut turns);
            tally.count(Mark::Reorder);
        }
        let late = random.chance(weather.keep_back).then(|| random.index(streams.len()));
        let mut handed_on = Vec::with_capacity(turns.len());
        for place in turns {
            let next = streams[place].1.pop_front().expect("every entry has a turn");
            if late == Some(place) { self.kept_back.push_back(next) } else { handed_on.push(next) }
        }
        if late.is_some() {
            tally.count(Mark::KeptBack);
        }
        handed_on
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
