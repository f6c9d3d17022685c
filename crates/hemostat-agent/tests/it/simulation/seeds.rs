//! Many seeds, spread over the processors: no promise is broken, every fault really happens, and the same seed gives
//! the same log.

use std::env;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::drive::{self, Run};
use super::tally::{Mark, Tally};

/// Runs this seed only, and shows its log.
const ENV_SEED: &str = "HEMOSTAT_SIM_SEED";
/// How many seeds, or which: `100000`, `10000..20000`.
const ENV_SEEDS: &str = "HEMOSTAT_SIM_SEEDS";
/// A minute on two cores.
const SEEDS: Range<u64> = 0..10_000;
/// One seed of so many is run twice.
const TWICE_EVERY: u64 = 50;

#[test]
fn whatever_happens_no_promise_is_broken() {
    if let Some(seed) = env::var(ENV_SEED).ok().map(|text| text.parse().expect("a seed is a number")) {
        return show(seed);
    }
    let seeds = seeds();
    let began = Instant::now();
    let (next, tally, total) = (AtomicU64::new(seeds.start), Tally::default(), Mutex::new(Total::default()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _thread in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seeds.end <= seed {
                        return;
                    }
                    let run = drive::run(seed, None);
                    if seed.is_multiple_of(TWICE_EVERY) {
                        assert_same(seed, &run, &drive::run(seed, None));
                    }
                    tally.add(&run.stage.tally);
                    let mut total = total.lock().expect("no thread panics with it");
                    total.events += run.verdict.events();
                    total.simulated += run.took;
                    if !run.findings.is_empty() {
                        println!("seed {seed} breaks {:?}", run.promises());
                        total.broken.push(seed);
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no thread panics with it");
    let count = seeds.end - seeds.start;
    println!(
        "{count} seeds in {:.1} s: {} events ({} a seed), {} h of simulated time",
        began.elapsed().as_secs_f64(),
        total.events,
        total.events / count.max(1),
        total.simulated.as_secs() / 3_600
    );
    for (mark, words) in Mark::ALL {
        println!("{:>9} {words}", tally.of(*mark));
    }
    let mut broken = total.broken;
    broken.sort_unstable();
    if let Some(first) = broken.first() {
        println!("broken seeds: {broken:?}");
        show(*first);
    }
    // Few seeds need not show everything.
    if 1_000 <= count {
        let missing: Vec<_> = Mark::ALL.iter().filter(|(mark, _)| tally.of(*mark) == 0).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_log_in_any_thread() {
    for seed in 0..20 {
        let here = drive::run(seed, None);
        let there = thread::spawn(move || drive::run(seed, None)).join().expect("a run does not panic");
        assert_same(seed, &here, &there);
        assert!(0 < here.verdict.events(), "seed {seed} has an empty log");
    }
    assert!(drive::run(1, None).verdict.bytes != drive::run(2, None).verdict.bytes, "two seeds differ");
}

#[derive(Default)]
struct Total {
    events: u64,
    simulated: Duration,
    broken: Vec<u64>,
}

fn seeds() -> Range<u64> {
    let Ok(text) = env::var(ENV_SEEDS) else { return SEEDS };
    let number = |text: &str| text.parse().expect("seeds are `100000` or `10000..20000`");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

/// Shows a run, and fails when something is wrong with it.
fn show(seed: u64) {
    let run = drive::run(seed, None);
    println!("{:#?}", run.stage.scenario);
    for line in run.verdict.lines() {
        println!("{line}");
    }
    for finding in &run.findings {
        println!("{}: {}", finding.promise, finding.detail);
    }
    assert!(
        run.findings.is_empty(),
        "seed {seed} breaks {:?}; run it again with\n    {ENV_SEED}={seed} cargo test -p hemostat-agent --test it -- --nocapture",
        run.promises()
    );
}

fn assert_same(seed: u64, one: &Run, other: &Run) {
    if one.verdict.bytes == other.verdict.bytes {
        return;
    }
    let differing = one.verdict.lines().zip(other.verdict.lines()).find(|(one, other)| one != other);
    panic!("seed {seed} gives two logs, which differ first at {differing:#?}");
}
