//! The event stream across breaks.

use std::sync::Arc;

use hemostat_core::engine::{EngineEvent, EngineEventKind};
use hemostat_event::{ContainerId, Timestamp};

use crate::memory::containers::MemoryContainers;
use crate::monitor::follow::{Followed, spawn};
use crate::telemetry::Telemetry;

#[tokio::test(start_paused = true)]
async fn after_a_break_events_go_on_without_a_gap_and_without_a_repetition_even_within_one_moment() {
    let start = Timestamp::from_millis(1_000);
    let engine = MemoryContainers::new(start);
    let telemetry = Arc::new(Telemetry::new("test"));
    let (mut events, _following) = spawn(Arc::new(engine.clone()), telemetry, start);
    let happened = |n: u64, at: Timestamp| {
        let id = ContainerId::new(format!("{n:064x}")).unwrap();
        EngineEvent { id, at, kind: EngineEventKind::Start, name: None }
    };
    let (moment, later) = (Timestamp::from_millis(2_000), Timestamp::from_millis(3_000));
    for n in [1, 2] {
        engine.emit(happened(n, moment));
        assert_eq!(events.recv().await, Some(Followed::Event(happened(n, moment))));
    }
    engine.break_events();
    // Of the same moment as those before the break.
    engine.emit(happened(3, moment));
    engine.emit(happened(4, later));
    assert_eq!(events.recv().await, Some(Followed::Reconnected));
    for (n, at) in [(3, moment), (4, later)] {
        assert_eq!(events.recv().await, Some(Followed::Event(happened(n, at))));
    }
    // One that was dated before it was put in order.
    engine.emit(happened(5, moment));
    assert_eq!(events.recv().await, Some(Followed::Event(happened(5, moment))));
}
