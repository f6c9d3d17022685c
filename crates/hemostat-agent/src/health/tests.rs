//! Live and ready, as parts come, work, hang and go.

use tokio::time::advance;

use super::*;

const INTERVAL: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_board_without_parts_is_live_and_not_ready() {
    assert_eq!(HealthBoard::new().report(), Report { live: true, ready: false, parts: Vec::new() });
}

#[tokio::test(start_paused = true)]
async fn a_part_is_live_from_the_start_and_ready_when_it_says_so() {
    let board = HealthBoard::new();
    let tick = board.part("monitor", INTERVAL);
    assert_eq!(facts(&board), (true, false, vec![("monitor", true, false, "starting".to_owned())]));
    tick.ready(true, "3 containers");
    assert_eq!(facts(&board), (true, true, vec![("monitor", true, true, "3 containers".to_owned())]));
    tick.ready(false, "the event log is away");
    assert_eq!(
        facts(&board),
        (true, false, vec![("monitor", true, false, "the event log is away".to_owned())])
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_that_misses_three_ticks_is_not_live_and_one_more_tick_revives_it() {
    let board = HealthBoard::new();
    let tick = board.part("analyzer", INTERVAL);
    advance(INTERVAL * 3).await;
    assert!(board.report().live);
    assert_eq!(board.report().parts[0].ticked_ms_ago, 15_000);
    advance(Duration::from_millis(1)).await;
    assert!(!board.report().live);
    tick.clone().tick();
    assert!(board.report().live);
    assert_eq!(board.report().parts[0].ticked_ms_ago, 0);
}

#[tokio::test(start_paused = true)]
async fn one_part_that_hangs_or_waits_speaks_for_the_process() {
    let board = HealthBoard::new();
    let (slow, fast) = (board.part("slow", INTERVAL), board.part("fast", INTERVAL));
    slow.ready(true, "reading");
    assert!(!board.report().ready);
    fast.ready(true, "reading");
    assert!(board.report().ready);
    advance(INTERVAL * 4).await;
    fast.tick();
    let report = board.report();
    assert_eq!(report.parts.iter().map(|part| part.live).collect::<Vec<_>>(), [true, false]);
    assert!(!report.live);
}

#[tokio::test(start_paused = true)]
async fn a_part_whose_last_tick_is_dropped_has_stopped() {
    let board = HealthBoard::new();
    let tick = board.part("alert", INTERVAL);
    let other = tick.clone();
    tick.ready(true, "reading");
    drop(tick);
    assert!(board.report().ready);
    drop(other);
    assert_eq!(facts(&board), (true, false, vec![("alert", true, false, "stopped".to_owned())]));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_started_again_takes_the_place_of_the_earlier_one() {
    let board = HealthBoard::new();
    let earlier = board.part("alert", INTERVAL);
    let later = board.part("alert", INTERVAL);
    later.ready(true, "reading");
    earlier.ready(false, "the event log is away");
    drop(earlier);
    assert_eq!(facts(&board), (true, true, vec![("alert", true, true, "reading".to_owned())]));
}

/// Live, ready, and of every part its name, live, ready and detail.
type Facts = (bool, bool, Vec<(&'static str, bool, bool, String)>);

fn facts(board: &HealthBoard) -> Facts {
    let report = board.report();
    let known = |name: &str| {
        ["alert", "monitor"].into_iter().find(|known| *known == name).expect("a name of this file")
    };
    let parts = report.parts.into_iter().map(|part| (known(&part.name), part.live, part.ready, part.detail));
    (report.live, report.ready, parts.collect())
}
