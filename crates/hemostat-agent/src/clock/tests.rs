//! Log time without asking all the time, and without the log.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use tokio::time::advance;

use super::*;
use crate::interposed::Interposed;
use crate::memory::log::MemoryLog;

const START: Timestamp = Timestamp::EPOCH;
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_log_is_asked_every_five_seconds_and_counted_on_from_in_between() {
    let (clock, asked) = counted(&MemoryLog::new(1, START));
    for second in 0..20 {
        assert_eq!(clock.now().await.unwrap(), START + SECOND * second);
        advance(SECOND).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn while_the_log_is_away_time_goes_on_and_the_log_is_asked_no_more_often() {
    let log = MemoryLog::new(1, START);
    let (clock, asked) = counted(&log);
    clock.now().await.unwrap();
    log.set_down(true);
    for second in 0..600 {
        assert_eq!(clock.now().await.unwrap(), START + SECOND * second);
        advance(SECOND).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 120);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_never_answered_gives_no_time() {
    let log = MemoryLog::new(1, START);
    log.set_down(true);
    let clock = LogClock::new(Arc::new(log.clone()));
    assert!(matches!(clock.now().await, Err(LogError::Unavailable(_))));
    log.set_down(false);
    assert_eq!(clock.now().await.unwrap(), START);
}

#[tokio::test(start_paused = true)]
async fn half_of_the_way_there_and_back_is_added() {
    let log = Interposed::over(&MemoryLog::new(1, START), |_| {
        async {
            advance(Duration::from_millis(80)).await;
            Ok(())
        }
        .boxed()
    });
    let clock = LogClock::new(log);
    // The log read its clock at the end of the 80 ms, which is not known here: the error is at most half of them.
    assert_eq!(clock.now().await.unwrap(), START + Duration::from_millis(120));
    assert_eq!(clock.now().await.unwrap(), START + Duration::from_millis(120));
}

#[tokio::test]
async fn a_clock_that_is_moved_by_hand_is_asked_every_time() {
    let log = MemoryLog::manual(1, START);
    let clock = LogClock::exact(Arc::new(log.clone()));
    assert_eq!(clock.now().await.unwrap(), START);
    log.advance(SECOND);
    assert_eq!(clock.now().await.unwrap(), START + SECOND);
}

/// A clock on `log`, and how often it has asked.
fn counted(log: &MemoryLog) -> (LogClock, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let log = Interposed::over(log, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }.boxed()
    });
    (LogClock::new(log), asked)
}
