//! A long story of appends, reads, acknowledgements, losses and trims, followed by the predicate of L-4.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hemostat_core::invariant::Retention;
use hemostat_event::cloudevents::Position;
use hemostat_event::{EventId, Role};

use super::events::{changed, dealt_with, host};
use super::{BLOCK, Harness, INPUT, SPAN, all, commit, member, read};
use crate::log::{CommitAnswer, Entry, EventLog, GroupReader, Membership, Shelter, Trim};

/// The groups of a story.
const GROUPS: [Role; 3] = [Role::Analyzer, Role::Responder, Role::Alert];

/// Case: one story; where it costs no time, tests tell many.
pub async fn nothing_is_trimmed_before_every_group_has_acknowledged_it(harness: &dyn Harness) {
    tell(harness, 5, 120).await;
}

/// Tells a story of so many steps, which follow from `seed`.
///
/// # Panics
/// Where the promise is broken, or where nothing is trimmed although every group is done.
pub async fn tell(harness: &dyn Harness, seed: u64, steps: u32) {
    let mut story = Story {
        harness,
        log: harness.log(),
        numbers: seed,
        appended: 0,
        retained: BTreeSet::new(),
        retention: Retention::new(false),
        members: BTreeMap::new(),
    };
    for _step in 0..steps {
        story.step().await;
    }
    story.end().await;
}

struct Story<'a> {
    harness: &'a dyn Harness,
    log: Arc<dyn EventLog>,
    /// Where the story goes on.
    numbers: u64,
    appended: u64,
    /// Numbers of the entries that are in the stream.
    retained: BTreeSet<u64>,
    retention: Retention,
    /// Groups that somebody reads, with what they hold.
    members: BTreeMap<Role, (Box<dyn GroupReader>, Vec<Entry>)>,
}

impl Story<'_> {
    /// The next number below `end` (a multiplicative generator, after Lehmer).
    fn number(&mut self, end: u64) -> u64 {
        self.numbers =
            self.numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.numbers >> 33) % end
    }

    async fn step(&mut self) {
        let group = GROUPS[usize::try_from(self.number(3)).expect("it is small")];
        match self.number(20) {
            0..4 => self.append().await,
            4..5 => self.join(group).await,
            5..10 => self.read(group).await,
            10..15 => self.acknowledge(group).await,
            15..18 => self.trim().await,
            // The readers make their groups anew; what they held is not theirs any more.
            18 => {
                self.harness.lose_groups().await;
                self.members.values_mut().for_each(|(_, held)| held.clear());
            }
            _ => {
                // A replica ends, and nobody is in its place for a while.
                self.members.remove(&group);
                if self.number(8) == 0 {
                    self.reap().await;
                }
            }
        }
    }

    async fn append(&mut self) {
        let count = 1 + self.number(3);
        let events: Vec<_> = (1..=count)
            .map(|n| self.appended + n)
            // Of one container they would have to be acknowledged in order.
            .map(|n| changed(&format!("c{n}"), n))
            .collect();
        self.appended += count;
        for seq in self.log.append(&events).await.expect("the log is there") {
            self.retention.appended(at(seq));
            self.retained.insert(seq);
        }
    }

    async fn join(&mut self, group: Role) {
        if !self.members.contains_key(&group) {
            let membership = Membership { role: group, batch: 2, ..member("a") };
            let reader = self.log.join(membership).await.expect("the group can be joined");
            self.members.insert(group, (reader, Vec::new()));
            self.retention.registered(group);
        }
    }

    async fn read(&mut self, group: Role) {
        if let Some((reader, held)) = self.members.get_mut(&group) {
            held.extend(read(self.harness, reader.as_mut()).await);
        }
    }

    async fn acknowledge(&mut self, group: Role) {
        let pick = usize::try_from(self.number(64)).expect("it is small");
        let Some((_, held)) = self.members.get_mut(&group) else { return };
        if held.is_empty() {
            return;
        }
        let entry = held.remove(pick % held.len());
        let mut step = dealt_with(&entry, "a", 0);
        (step.role, step.state) = (group, None);
        step.emit.clear();
        step.key = EventId::derive(step.key, group, "acknowledge", 0);
        match commit(&self.log, step).await {
            CommitAnswer::Committed(_) | CommitAnswer::Duplicate => {
                self.retention.acknowledged(group, at(entry.seq.expect("the log numbers its entries")));
            }
            answer => panic!("{answer:?} {entry:?}"),
        }
    }

    async fn trim(&mut self) {
        self.harness.advance(BLOCK / 25).await;
        let most = 1 + self.number(4);
        let partition = self.log.partition_of(&host());
        let shelter = Shelter::Groups { archived: None };
        let step = Trim { partition, stream: INPUT, keep: Duration::ZERO, shelter, most };
        let trimmed = self.log.trim(&step).await.expect("the log is there");
        let left: BTreeSet<_> = all(&self.log, &INPUT).await.iter().filter_map(|entry| entry.seq).collect();
        let gone: Vec<_> = self.retained.difference(&left).copied().collect();
        assert_eq!(gone.len() as u64, trimmed.removed);
        for seq in gone {
            assert_eq!(self.retention.trimmed(at(seq)), [], "{trimmed:?}");
        }
        self.retained = left;
    }

    async fn reap(&mut self) {
        self.harness.advance(SPAN).await;
        // Those that live say so by reading.
        for (reader, held) in self.members.values_mut() {
            held.extend(read(self.harness, reader.as_mut()).await);
        }
        let partition = self.log.partition_of(&host());
        for group in self.log.reap(partition, SPAN).await.expect("the log is there") {
            let group: Role = group.group.parse().expect("it is one of the story's");
            self.retention.reaped(group);
            // One that had nothing to read for so long, where waiting is no sign of life, comes back at once.
            self.members.remove(&group);
        }
    }

    /// Every group deals with everything; then everything but the last entry can go.
    async fn end(mut self) {
        for group in GROUPS {
            self.members.remove(&group);
            self.join(group).await;
            let mut idle = 0;
            while idle < 2 {
                self.read(group).await;
                let held = self.members[&group].1.len();
                idle = if held == 0 { idle + 1 } else { 0 };
                for _held in 0..held {
                    self.acknowledge(group).await;
                }
            }
        }
        for _step in 0..=self.retained.len() {
            self.trim().await;
        }
        assert!(self.retained.len() <= 1, "{:?} is still there", self.retained);
    }
}

fn at(seq: u64) -> Position {
    Position { partition: 0, seq }
}
