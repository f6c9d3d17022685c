//! The whole loop in one thread and no real time.
mod cast;
mod drive;
mod hands;
mod judge;
mod network;
mod random;
mod referee;
mod scenario;
mod stage;
mod tally;
mod world;

#[test]
fn first() {
    let began = std::time::Instant::now();
    let from: u64 = std::env::var("FROM").map_or(0, |v| v.parse().unwrap());
    let n: u64 = std::env::var("N").map_or(20, |v| v.parse().unwrap());
    let tally = tally::Tally::default();
    let (mut events, mut took) = (0, std::time::Duration::ZERO);
    let mut bad = 0;
    let mut by: std::collections::BTreeMap<&str, (u64, u64, String)> = Default::default();
    for seed in from..from + n {
        let run = drive::run(seed, None);
        events += run.verdict.events();
        took += run.took;
        tally.add(&run.stage.tally);
        if !run.findings.is_empty() {
            bad += 1;
            for f in &run.findings {
                by.entry(f.promise).or_insert((0, seed, f.detail.clone())).0 += 1;
            }
            if std::env::var("LINES").is_ok() {
                println!("{:#?}", run.stage.scenario);
                for l in run.verdict.lines() {
                    println!("{l}");
                }
                for f in &run.findings {
                    println!("seed {seed}: {} {}", f.promise, f.detail);
                }
            }
        }
    }
    println!("{n} seeds, {bad} bad, {events} events, {took:?} simulated, {:?} real", began.elapsed());
    println!("{by:#?}");
    for (mark, words) in tally::Mark::ALL {
        println!("{words}: {}", tally.of(*mark));
    }
}
