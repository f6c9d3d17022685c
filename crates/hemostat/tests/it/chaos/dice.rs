//! What happens when: a schedule of faults that is a function of its seed.

use std::time::Duration;

use hemostat_event::Role;

/// A fault and the time after the one before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) after: Duration,
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// One of the role's processes is killed, and another started in its place.
    Kill { role: Role, place: usize },
    /// One of the role's processes stands still for longer than others wait, and then goes on as a zombie.
    Freeze { role: Role, place: usize, span: Duration },
    /// Redis ends and is away for a while.
    Redis { in_order: bool, down: Duration },
}

/// An endless schedule.
pub(super) struct Schedule {
    dice: Dice,
    steps: u32,
}

/// Faults between two restarts of Redis.
const REDIS_EVERY: u32 = 20;
/// A monitor that takes over from one that died waits for the end of a lease of 9 s: it has to have time to work
/// between two kills.
const WEIGHTS: [(Role, u64); 4] =
    [(Role::Monitor, 1), (Role::Analyzer, 4), (Role::Responder, 4), (Role::Alert, 3)];

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: Dice(seed), steps: 0 }
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let dice = &mut self.dice;
        let after = dice.span(150, 1_050);
        self.steps += 1;
        if self.steps.is_multiple_of(REDIS_EVERY) {
            let fault = Fault::Redis { in_order: dice.below(2) == 0, down: dice.span(100, 1_500) };
            return Some(Step { after, fault });
        }
        let mut draw = dice.below(WEIGHTS.iter().map(|(_, weight)| weight).sum());
        let role = WEIGHTS.iter().find(|(_, weight)| match draw.checked_sub(*weight) {
            Some(rest) => {
                draw = rest;
                false
            }
            None => true,
        });
        let role = role.map_or(Role::Analyzer, |(role, _)| *role);
        let place = dice.below(16) as usize;
        let fault = if dice.below(4) == 0 {
            // Longer than the claim time of a second; a monitor longer than its lease.
            let span = if role == Role::Monitor { dice.span(9_500, 12_000) } else { dice.span(1_300, 4_000) };
            Fault::Freeze { role, place, span }
        } else {
            Fault::Kill { role, place }
        };
        Some(Step { after, fault })
    }
}

/// SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn span(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(least_ms + self.below(most_ms - least_ms))
    }
}

#[test]
fn the_same_seed_gives_the_same_schedule_and_another_one_another() {
    let steps = |seed| Schedule::new(seed).take(200).collect::<Vec<_>>();
    assert_eq!(steps(7), steps(7));
    assert_ne!(steps(7), steps(8));
    let redis = steps(7).iter().filter(|step| matches!(step.fault, Fault::Redis { .. })).count();
    assert_eq!(redis, 200 / REDIS_EVERY as usize);
}
