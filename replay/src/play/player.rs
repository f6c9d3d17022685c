//! Writes entries into the shadow when they are due, and does meanwhile what it is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hemostat_agent::log::EventLog as _;
use hemostat_event::{Event, Role, Timestamp};
use hemostat_redis::RedisLog;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::agents::{is_input, settled};
use super::control::{Command, Said};
use super::display::Display;
use super::feed::{Entry, Feed};
use super::figures::{Ended, Figures, millis};
use super::hands::Hands;
use super::schedule::{Schedule, Speed};

/// Most entries in one request.
const BATCH: usize = 128;
/// How often the display is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// The schedule, which the clock of the agents reads too.
pub(super) type Shared = Arc<Mutex<Schedule>>;

/// Plays.
pub(super) struct Player<'a> {
    /// What is played.
    pub feed: &'a Feed,
    /// Where to.
    pub shadow: Arc<RedisLog>,
    /// When.
    pub schedule: Shared,
    /// The number of the next entry.
    pub next: usize,
    /// The number behind the last.
    pub end: usize,
    /// What stands for the engine, where agents decide anew.
    pub hands: Option<Arc<Hands>>,
    /// What came of it.
    pub figures: Figures,
    /// What people see.
    pub display: Display,
}

impl Player<'_> {
    /// Plays to the end, until it is told to end, or until `stop`.
    ///
    /// # Errors
    /// Those of the shadow.
    pub(super) async fn play(
        &mut self,
        mut heard: Option<mpsc::Receiver<Said>>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let mut stop = std::pin::pin!(stop);
        let mut draw = interval(DRAW_EVERY);
        draw.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while self.next < self.end {
            let due = self.schedule().due(self.feed.entries()[self.next].at);
            tokio::select! {
                biased;
                () = &mut stop => {
                    self.figures.ended = Ended::Quit;
                    break;
                }
                said = hear(&mut heard) => match said {
                    Some(Said::Command(Command::Quit)) => {
                        self.figures.ended = Ended::Quit;
                        break;
                    }
                    Some(Said::Command(command)) => self.obey(&command).await?,
                    Some(Said::Nothing(why)) => self.display.say(&why),
                    Some(Said::Asked(point)) => self.display.ask(point.as_deref()),
                    None => heard = None,
                },
                () = at(due) => self.write_due().await?,
                _ = draw.tick() => self.draw(),
            }
        }
        let ran = self.schedule().ran(Instant::now());
        self.figures.took_ms = millis(ran);
        self.display.end();
        Ok(())
    }

    /// Writes what stands before entry `to` at once and goes on from there.
    ///
    /// # Errors
    /// Those of the shadow.
    pub(super) async fn rush(&mut self, to: usize) -> anyhow::Result<()> {
        while self.next < to {
            let before = self.next;
            let events = self.gather(to, |_| true);
            self.arrive(self.feed.entries()[self.next - 1].at);
            self.write(&events).await?;
            self.wait_for_agents(&events).await?;
            self.figures.rushed += (self.next - before) as u64;
        }
        if let Some(entry) = self.feed.entries().get(to) {
            self.arrive(entry.at);
        }
        Ok(())
    }

    /// Writes what is due.
    async fn write_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let schedule = self.schedule().clone();
        let is_due = |entry: &Entry| schedule.due(entry.at).is_some_and(|due| due <= now);
        let first = self.next;
        let events = self.gather(self.end, is_due);
        let entries = &self.feed.entries()[first..self.next];
        if schedule.speed() == Speed::Max {
            self.arrive(entries.last().map_or(Timestamp::EPOCH, |last| last.at));
        }
        self.write(&events).await?;
        self.figures.played += entries.len() as u64;
        if schedule.speed() != Speed::Max {
            let took = schedule.ran(Instant::now());
            for due in entries.iter().filter_map(|entry| schedule.due(entry.at)) {
                self.figures.written(schedule.ran(due), took);
            }
        }
        self.wait_for_agents(&events).await
    }

    /// Does what it is told.
    async fn obey(&mut self, command: &Command) -> anyhow::Result<()> {
        self.display.ask(None);
        let now = Instant::now();
        let speed = self.schedule().speed();
        match command {
            Command::Pause => self.schedule().pause(now),
            Command::Resume => self.schedule().resume(now),
            Command::Toggle if self.schedule().is_paused() => self.schedule().resume(now),
            Command::Toggle => self.schedule().pause(now),
            Command::Speed(speed) => self.schedule().set_speed(*speed, now),
            Command::Faster => self.schedule().set_speed(speed.faster(), now),
            Command::Slower => self.schedule().set_speed(speed.slower(), now),
            Command::Step(count) => self.step(*count).await?,
            Command::Seek(point) => match self.feed.before(point, false) {
                Ok(to) if to < self.next && self.hands.is_some() => {
                    self.display.say("agents cannot go back; play again with --from");
                }
                Ok(to) => self.seek(to.min(self.end)).await?,
                Err(why) => self.display.say(&why),
            },
            Command::Quit => {}
        }
        self.draw();
        Ok(())
    }

    async fn step(&mut self, count: u64) -> anyhow::Result<()> {
        self.schedule().pause(Instant::now());
        let to = self.next.saturating_add(usize::try_from(count).unwrap_or(usize::MAX)).min(self.end);
        while self.next < to {
            let before = self.next;
            let events = self.gather(to, |_| true);
            let last = &self.feed.entries()[self.next - 1];
            self.arrive(last.at);
            self.write(&events).await?;
            self.wait_for_agents(&events).await?;
            self.figures.played += (self.next - before) as u64;
            self.display.stepped(last);
        }
        Ok(())
    }

    async fn seek(&mut self, to: usize) -> anyhow::Result<()> {
        if to < self.next {
            // A log only grows; what is to be as it was before is begun anew.
            self.shadow.clear_shadow().await.context("failed to empty the shadow")?;
            self.next = 0;
        }
        self.rush(to).await
    }

    /// The next entries that can be written in one request, at least one; before entry `end`, as long as `is_wanted`.
    fn gather(&mut self, end: usize, is_wanted: impl Fn(&Entry) -> bool) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        let first = self.next;
        while self.next < end && self.next - first < BATCH {
            let entry = &self.feed.entries()[self.next];
            if !is_wanted(entry) && first < self.next {
                break;
            }
            if self.hands.is_some() && entry.role.is_some_and(decides) {
                self.figures.left_to_agents += 1;
            } else if let Some(Ok(event)) = entry.record.event() {
                let partition = |event: &Event| self.shadow.partition_of(&event.envelope.host);
                if events.first().is_some_and(|first| partition(first) != partition(&event)) {
                    break;
                }
                events.push(event);
            } else {
                self.figures.unreadable += 1;
            }
            self.next += 1;
            // What follows must not be seen before they have decided.
            if self.hands.is_some() && is_input(entry.record.stream.event_type()) {
                break;
            }
        }
        events
    }

    async fn write(&mut self, events: &[Event]) -> anyhow::Result<()> {
        if let Some(hands) = &self.hands {
            events.iter().for_each(|event| hands.see(event));
        }
        // A repetition after an unknown outcome would write samples twice; nobody waits for this log.
        let numbers = self.shadow.append(events).await.context("failed to write into the shadow")?;
        self.figures.repeated += (events.len() - numbers.len()) as u64;
        Ok(())
    }

    /// Stands still until the agents have decided on what was written: what they decide at any speed is decided at the
    /// log time at which it was asked.
    async fn wait_for_agents(&self, events: &[Event]) -> anyhow::Result<()> {
        if self.hands.is_none() || !events.iter().any(|event| is_input(event.event_type())) {
            return Ok(());
        }
        let was_paused = self.schedule().is_paused();
        self.schedule().pause(Instant::now());
        let settled = settled(self.shadow.as_ref()).await;
        if !was_paused {
            self.schedule().resume(Instant::now());
        }
        settled.map(drop)
    }

    fn arrive(&self, at: Timestamp) {
        self.schedule().jump(at, Instant::now());
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) {
        let schedule = self.schedule().clone();
        let late = self.figures.time.as_ref().map(|time| time.late_max_ms);
        self.display.draw(self.next, &schedule, late);
    }
}

/// Whether a role decides anew in the shadow. What a monitor saw, and what a person ordered, is taken from the log.
pub(super) fn decides(role: Role) -> bool {
    matches!(role, Role::Analyzer | Role::Responder | Role::Alert)
}

/// The next thing that is said; never where nobody listens.
async fn hear(heard: &mut Option<mpsc::Receiver<Said>>) -> Option<Said> {
    match heard {
        Some(heard) => heard.recv().await,
        None => std::future::pending().await,
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
