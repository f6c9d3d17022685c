//! The engine in memory keeps the port's contract, and its script does what it says.

use async_trait::async_trait;
use futures_util::StreamExt;
use hemostat_event::Health;

use super::*;
use crate::contract::containers::Harness;

struct Memory {
    engine: MemoryContainers,
    made: Mutex<u64>,
}

impl Memory {
    async fn start() -> Self {
        Self { engine: MemoryContainers::new(Timestamp::from_millis(1_000)), made: Mutex::new(0) }
    }

    fn make(&self) -> ContainerId {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        *made += 1;
        let id = ContainerId::new(format!("{:064x}", *made)).expect("64 digits are an id");
        let name = format!("c{made}");
        self.engine.put(&id, Inspection { name, state: RunState::Running, ..Inspection::default() });
        let at = self.engine.happen(&id, EngineEventKind::Start);
        self.engine.update(&id, |inspection| inspection.started_at = Some(at));
        self.engine.set_counters(&id, Counters { pids: Some(1), read_at: at, ..Counters::default() });
        id
    }
}

#[async_trait]
impl Harness for Memory {
    fn engine(&self) -> Arc<dyn Containers> {
        Arc::new(self.engine.clone())
    }

    async fn now(&self) -> Timestamp {
        self.engine.now()
    }

    async fn running(&self) -> ContainerId {
        self.make()
    }

    async fn exiting(&self, exit_code: u8) -> ContainerId {
        let id = self.make();
        self.engine.exit(&id, exit_code.into());
        id
    }

    async fn printing(&self, lines: &[String]) -> ContainerId {
        let id = self.make();
        self.engine.set_log(&id, lines);
        id
    }

    async fn unhealthy(&self, output: &str) -> ContainerId {
        let id = self.make();
        self.engine.happen(&id, EngineEventKind::Health(Health::Unhealthy));
        self.engine.update(&id, |inspection| {
            inspection.health = Health::Unhealthy;
            inspection.health_failing_streak = 1;
            inspection.health_output = Some(output.to_owned());
        });
        id
    }

    async fn remove(&self, id: &ContainerId) {
        self.engine.remove(id);
        self.engine.happen(id, EngineEventKind::Destroy);
    }
}

crate::containers_contract!(Memory::start());

#[tokio::test]
async fn a_timeout_may_or_may_not_have_restarted() {
    let memory = Memory::start().await;
    let id = memory.make();
    let before = memory.engine.inspect(&id).await.unwrap().started_at;
    for (done, changes) in [(false, false), (true, true)] {
        memory.engine.on_restart(&id, RestartAnswer::Timeout { done });
        let answer = memory.engine.restart(&id, None).await;
        assert!(matches!(answer, Err(EngineError::Timeout { .. })), "{answer:?}");
        let after = memory.engine.inspect(&id).await.unwrap().started_at;
        assert_eq!(after != before, changes, "done: {done}");
    }
    assert_eq!(memory.engine.restarts(), [id.clone(), id]);
}

#[tokio::test]
async fn a_refused_restart_changes_nothing_and_stands_in_the_journal() {
    let memory = Memory::start().await;
    let id = memory.make();
    let before = memory.engine.inspect(&id).await.unwrap();
    memory.engine.forget_calls();
    memory.engine.on_restart(&id, RestartAnswer::Refused("no space left on device".to_owned()));
    let answer = memory.engine.restart(&id, Some(3)).await;
    assert!(matches!(answer, Err(EngineError::Refused { .. })), "{answer:?}");
    assert_eq!(memory.engine.calls(), [Call::Restart { id: id.clone(), stop_timeout_secs: Some(3) }]);
    assert_eq!(memory.engine.inspect(&id).await.unwrap(), before);
}

#[tokio::test]
async fn an_engine_that_goes_down_breaks_its_streams_and_answers_nothing_until_it_is_back() {
    let memory = Memory::start().await;
    let mut events = memory.engine.events(Timestamp::EPOCH);
    memory.engine.set_down(true);
    assert!(matches!(events.next().await, Some(Err(EngineError::Unreachable { .. }))));
    assert!(events.next().await.is_none());
    assert!(matches!(memory.engine.list().await, Err(EngineError::Unreachable { .. })));
    memory.engine.set_down(false);
    assert_eq!(memory.engine.list().await.unwrap(), []);
}
