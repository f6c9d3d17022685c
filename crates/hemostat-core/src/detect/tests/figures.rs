//! Figures: levels, hysteresis, and how the watch measures them.

use super::*;
use crate::engine::{Counters, EngineInfo};

#[test]
fn a_figure_fires_in_two_of_three_samples_and_clears_after_five_below_the_lower_level() {
    let mut bench = Bench::running();
    assert_eq!(bench.cpu(90.0), vec![]);
    assert_eq!(bench.cpu(10.0), vec![]);
    assert_eq!(kinds(&bench.cpu(90.0)), [AnomalyKind::HighCpu]);
    // Between the levels it neither fires nor clears.
    assert_eq!(bench.cpus(&[80.0; 10]), vec![]);
    assert_eq!(bench.cpus(&[5.0; 4]), vec![]);
    // One sample between the levels begins the count anew.
    assert_eq!(bench.cpus(&[80.0]), vec![]);
    assert_eq!(bench.cpus(&[5.0; 4]), vec![]);
    assert_eq!(recoveries(&bench.cpu(5.0)), [Recovery::Cleared]);
}

#[test]
fn the_levels_themselves_fire_and_do_not_clear() {
    let mut bench = Bench::running();
    let fire = bench.settings.cpu.fire;
    assert_eq!(kinds(&bench.cpus(&[fire, fire])), [AnomalyKind::HighCpu]);
    let clear = bench.settings.cpu.clear;
    assert_eq!(recoveries(&bench.cpus(&[clear; 10])), []);
    let mut bench = Bench::running();
    assert_eq!(bench.cpus(&[fire - 0.1; 10]), vec![]);
}

#[test]
fn a_single_spike_says_nothing() {
    let mut bench = Bench::running();
    assert_eq!(bench.cpus(&[99.0, 1.0, 1.0, 99.0, 1.0, 1.0, 99.0]), vec![]);
}

#[test]
fn high_cpu_is_a_warning_until_it_lasts() {
    let mut bench = Bench::running();
    let said: Vec<_> = (0..8).map(|_| severity(&bench.cpu(90.0))).collect();
    let (warning, high) = (Some(Severity::Warning), Some(Severity::High));
    assert_eq!(said, [None, warning, None, high, None, None, None, None]);
    let mut bench = Bench::running();
    let said: Vec<_> = (0..8).map(|_| severity(&bench.cpu(99.0))).collect();
    assert_eq!(said, [None, warning, None, Some(Severity::Critical), None, None, None, None]);
}

#[test]
fn memory_near_its_end_is_critical_at_once() {
    let memory = |bench: &mut Bench, percent| bench.poll(|sample| sample.memory_percent = Some(percent));
    let mut bench = Bench::running();
    memory(&mut bench, 85.0);
    assert_eq!(severity(&memory(&mut bench, 85.0)), Some(Severity::High));
    assert_eq!(memory(&mut bench, 96.9), vec![]);
    assert_eq!(severity(&memory(&mut bench, 97.0)), Some(Severity::Critical), "worse is news");
    assert_eq!(memory(&mut bench, 85.0), vec![], "better is not");
}

#[test]
fn processes_and_disk_are_judged_by_their_limits() {
    let mut bench = Bench::running();
    let pids = |sample: &mut Sample| (sample.pids, sample.pids_limit) = (Some(95), Some(100));
    bench.poll(pids);
    assert_eq!(kinds(&bench.poll(pids)), [AnomalyKind::HighPids]);
    let mut bench = Bench::running();
    let unlimited = |sample: &mut Sample| sample.pids = Some(1_000_000);
    bench.poll(unlimited);
    assert_eq!(bench.poll(unlimited), vec![], "without a limit nothing is too many");
    let disk = |sample: &mut Sample| sample.disk_writable_bytes = Some(2_000);
    bench.poll(disk);
    assert_eq!(bench.poll(disk), vec![], "no level was set");
    bench.settings.disk_bytes = Some(Levels { fire: 1_000.0, clear: 900.0, critical: 5_000.0 });
    bench.poll(disk);
    assert_eq!(kinds(&bench.poll(disk)), [AnomalyKind::HighDisk]);
}

#[test]
fn a_missing_figure_neither_fires_nor_clears() {
    let mut bench = Bench::running();
    bench.cpus(&[90.0, 90.0]);
    assert!(bench.is_open());
    let silent: Vec<_> = (0..20).flat_map(|_| bench.poll(|sample| sample.cpu_percent = None)).collect();
    assert_eq!(silent, vec![]);
    let mut bench = Bench::running();
    let memory = |percent| move |sample: &mut Sample| sample.memory_percent = percent;
    bench.poll(memory(Some(85.0)));
    bench.poll(memory(Some(85.0)));
    assert_eq!(bench.poll(memory(None)), vec![], "nor does it make anything worse");
    let mut bench = Bench::running();
    bench.cpu(90.0);
    for missing in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        assert_eq!(bench.poll(|sample| sample.cpu_percent = missing), vec![], "{missing:?}");
    }
    assert_eq!(kinds(&bench.cpu(90.0)), [AnomalyKind::HighCpu], "what was missing is not counted as low");
}

#[test]
fn a_figure_that_cleared_does_not_come_back_between_the_levels() {
    let mut bench = Bench::running();
    bench.cpus(&[90.0, 90.0]);
    bench.health(Health::Unhealthy);
    bench.cpus(&[5.0; 5]);
    // Only the health check holds the incident open now.
    bench.cpus(&[80.0; 3]);
    assert_eq!(recoveries(&bench.health(Health::Healthy)), [Recovery::Cleared]);
}

#[test]
fn an_ended_or_paused_container_has_no_high_cpu() {
    let mut bench = Bench::running();
    bench.cpu(90.0);
    bench.kill(15);
    bench.die(0);
    assert_eq!(kinds(&bench.cpu(99.0)), []);
    let mut bench = Bench::running();
    bench.cpu(90.0);
    bench.engine(EngineEventKind::Pause);
    assert_eq!(kinds(&bench.cpus(&[99.0, 99.0])), []);
}

#[test]
fn an_event_does_not_make_old_figures_fire() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Pause);
    bench.cpus(&[99.0, 99.0]);
    assert_eq!(kinds(&bench.engine(EngineEventKind::Unpause)), []);
}

#[test]
fn a_restart_ends_a_figure_only_after_enough_good_samples_of_the_new_run() {
    let mut bench = Bench::running();
    bench.cpus(&[99.0, 99.0]);
    let mut said = bench.restart();
    said.extend(bench.cpus(&[1.0; 4]));
    assert_eq!(recoveries(&said), []);
    assert_eq!(recoveries(&bench.cpu(1.0)), [Recovery::Cleared]);
}

#[test]
fn what_the_run_before_used_does_not_count_for_the_new_one() {
    let mut bench = Bench::running();
    bench.cpu(99.0);
    bench.restart();
    assert_eq!(bench.cpu(99.0), vec![], "one sample of the new run");
}

// --- How it is measured ---

#[test]
fn cpu_is_of_what_the_container_may_use() {
    // One busy core of eight is 12.5 %, not 100.
    assert_eq!(cpu(None, &reading(20, 15)), Some(12.5));
    assert_eq!(cpu(Some(2.0), &reading(20, 15)), Some(50.0));
    assert_eq!(cpu(Some(0.5), &reading(20, 10)), Some(100.0));
    // A quota beyond the host is no more than the host.
    assert_eq!(cpu(Some(64.0), &reading(20, 15)), Some(12.5));
    // A quota that is none.
    assert_eq!(cpu(Some(0.0), &reading(20, 15)), Some(12.5));
    assert_eq!(cpu(Some(f64::NAN), &reading(20, 15)), Some(12.5));
    let online = Counters { cpus_online: Some(2), ..reading(20, 15) };
    assert_eq!(cpu(None, &online), Some(50.0), "of the processors that are online for it");
}

#[test]
fn a_counter_or_a_clock_that_goes_back_says_nothing() {
    assert_eq!(cpu(None, &reading(20, 4)), None, "the counter");
    assert_eq!(cpu(None, &reading(9, 15)), None, "the clock");
    assert_eq!(cpu(None, &reading(10, 15)), None, "no time has passed");
    assert_eq!(cpu(None, &Counters { cpu_usage_ns: None, ..reading(20, 15) }), None);
    // The next sample measures from there.
    let mut watch = Watch::new();
    let mut read =
        |seconds, used| watch.sample(&up(), Some(&reading(seconds, used)), None, &host()).cpu_percent;
    assert_eq!(read(100, 50), None);
    assert_eq!(read(40, 2), None);
    assert_eq!(read(50, 12), Some(12.5));
}

#[test]
fn a_reading_right_after_another_is_left_to_the_next_one() {
    let mut watch = Watch::new();
    let close = Counters { read_at: at(10) + Duration::from_millis(50), ..reading(10, 10) };
    let mut read = |counters: &Counters| watch.sample(&up(), Some(counters), None, &host()).cpu_percent;
    assert_eq!(read(&reading(10, 5)), None);
    assert_eq!(read(&close), None, "five busy seconds within 50 ms");
    assert_eq!(read(&reading(20, 15)), Some(12.5), "measured from the first");
}

#[test]
fn a_new_run_and_a_gap_in_the_counters_begin_anew() {
    let mut watch = Watch::new();
    watch.sample(&up(), Some(&reading(10, 5)), None, &host());
    let again = Inspection { started_at: Some(at(15)), ..up() };
    assert_eq!(watch.sample(&again, Some(&reading(20, 15)), None, &host()).cpu_percent, None);
    assert_eq!(watch.sample(&again, None, None, &host()).cpu_percent, None);
    assert_eq!(watch.sample(&again, Some(&reading(30, 25)), None, &host()).cpu_percent, None);
    assert_eq!(watch.sample(&again, Some(&reading(40, 35)), None, &host()).cpu_percent, Some(12.5));
}

#[test]
fn memory_is_of_the_limit_and_never_of_more_than_the_host_has() {
    // What cgroup v1 writes for "no limit".
    const NONE: u64 = 9_223_372_036_854_771_712;
    for (own, group, host_has, limit, percent) in [
        (Some(1 << 29), None, 1 << 30, Some(1 << 29), Some(50.0)),
        (None, Some(NONE), 1 << 30, Some(1 << 30), Some(25.0)),
        (None, Some(1 << 29), 1 << 30, Some(1 << 29), Some(50.0)),
        (Some(1 << 40), None, 1 << 30, Some(1 << 30), Some(25.0)),
        (None, None, 1 << 30, Some(1 << 30), Some(25.0)),
        // An engine that does not say how much the host has.
        (None, Some(NONE), 0, None, None),
        (Some(1 << 29), Some(NONE), 0, Some(1 << 29), Some(50.0)),
    ] {
        let inspection = Inspection { memory_limit_bytes: own, ..up() };
        let counters = Counters { memory_limit_bytes: group, ..reading(10, 5) };
        let host = EngineInfo { memory_bytes: host_has, ..host() };
        let sample = Watch::new().sample(&inspection, Some(&counters), None, &host);
        assert_eq!((sample.memory_limit_bytes, sample.memory_percent), (limit, percent), "{own:?} {group:?}");
    }
}

#[test]
fn throttling_is_a_share_of_the_periods_that_passed() {
    let counters = |seconds, periods, throttled| Counters {
        cpu_periods: Some(periods),
        cpu_throttled_periods: Some(throttled),
        ..reading(seconds, seconds)
    };
    let mut watch = Watch::new();
    let mut read =
        |counters: &Counters| watch.sample(&up(), Some(counters), None, &host()).cpu_throttled_percent;
    assert_eq!(read(&counters(10, 100, 10)), None);
    assert_eq!(read(&counters(20, 200, 35)), Some(25.0));
    assert_eq!(read(&counters(30, 200, 35)), None, "no period has passed");
    assert_eq!(read(&counters(40, 100, 0)), None, "the counter went back");
}

#[test]
fn a_sample_says_only_what_is_so_of_its_state() {
    let ended = |state| {
        let inspection = Inspection { state, exit_code: Some(3), finished_at: Some(at(5)), ..up() };
        let sample = Watch::new().sample(&inspection, None, None, &host());
        (sample.exit_code, sample.finished_at)
    };
    assert_eq!(ended(RunState::Running), (None, None));
    for state in [RunState::Exited, RunState::Dead, RunState::Restarting] {
        assert_eq!(ended(state), (Some(3), Some(at(5))), "{state:?}");
    }
}

// --- Settings ---

#[test]
fn settings_that_make_no_sense_are_named() {
    assert_eq!(Settings::default().validate(), Vec::<String>::new());
    let no_sense: [fn(&mut Settings); 12] = [
        |settings| settings.cpu.clear = settings.cpu.fire,
        |settings| settings.memory.critical = 10.0,
        |settings| settings.pids.fire = f64::NAN,
        |settings| settings.disk_bytes = Some(Levels { fire: 1.0, clear: 2.0, critical: 3.0 }),
        |settings| settings.fire = NOfM { needed: 4, of: 3 },
        |settings| settings.fire = NOfM { needed: 0, of: 3 },
        |settings| settings.sustained = NOfM { needed: 2, of: 33 },
        |settings| settings.clear_after = 0,
        |settings| settings.loop_deaths = 0,
        |settings| settings.loop_deaths = 17,
        |settings| settings.realert_after = Duration::ZERO,
        |settings| settings.realert_max = Duration::from_secs(1),
    ];
    for (index, spoil) in no_sense.into_iter().enumerate() {
        let mut settings = Settings::default();
        spoil(&mut settings);
        assert_eq!(settings.validate().len(), 1, "number {index}");
    }
}

/// CPU of a sample after a reading of 5 busy seconds at second 10.
fn cpu(quota: Option<f64>, second: &Counters) -> Option<f64> {
    let mut watch = Watch::new();
    let inspection = Inspection { cpu_limit_cores: quota, ..up() };
    assert_eq!(watch.sample(&inspection, Some(&reading(10, 5)), None, &host()).cpu_percent, None);
    watch.sample(&inspection, Some(second), None, &host()).cpu_percent
}

fn up() -> Inspection {
    Inspection { state: RunState::Running, ..Inspection::default() }
}

fn host() -> EngineInfo {
    EngineInfo {
        version: String::new(),
        api_version: String::new(),
        host: "h".into(),
        cpus: 8,
        memory_bytes: 1 << 30,
        cgroup_version: 1,
    }
}

fn reading(seconds: u64, used_seconds: u64) -> Counters {
    Counters {
        read_at: at(seconds),
        cpu_usage_ns: Some(used_seconds * 1_000_000_000),
        memory_bytes: Some(1 << 28),
        ..Counters::default()
    }
}
