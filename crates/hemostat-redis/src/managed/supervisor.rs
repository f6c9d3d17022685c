//! The thread that starts a server, waits for its end, and starts it again.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::sync::oneshot;
use tracing::warn;

use crate::server::{Launch, Output, signal};

/// First wait before the server is started again; doubled each time.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// Longest wait before the server is started again.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// A server that ran this long has recovered: its next end is a first one.
const RECOVERED_AFTER: Duration = Duration::from_secs(30);

/// A handle to the thread. The server ends with it.
pub(super) struct Supervisor {
    shared: Arc<Shared>,
    ended: oneshot::Receiver<()>,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Not started yet.
    Starting,
    /// Runs; it may be loading.
    Running,
    /// Ended by itself; with its last words.
    Ended(String),
}

struct Shared {
    control: Mutex<Control>,
    stopped: Condvar,
}

struct Control {
    stopping: bool,
    /// Set only while the process id cannot be another process's.
    pid: Option<Pid>,
    state: State,
    output: Output,
}

impl Supervisor {
    pub(super) fn start(launch: Launch) -> Self {
        let control =
            Control { stopping: false, pid: None, state: State::Starting, output: Output::default() };
        let shared = Arc::new(Shared { control: Mutex::new(control), stopped: Condvar::new() });
        let (ended_tx, ended) = oneshot::channel();
        let thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            thread.keep(&launch);
            // Nobody may be waiting any more.
            let _nobody = ended_tx.send(());
        });
        Self { shared, ended }
    }

    pub(super) fn state(&self) -> State {
        self.shared.lock().state.clone()
    }

    /// The server's last words.
    pub(super) fn output(&self) -> String {
        self.shared.lock().output.last_lines()
    }

    /// Asks the server to end, and the thread with it.
    pub(super) fn stop(&self) {
        self.end(Signal::TERM);
    }

    /// Makes the server end.
    pub(super) fn kill(&self) {
        self.end(Signal::KILL);
    }

    /// Waits for the end of the thread.
    pub(super) async fn ended(&mut self) {
        let _ended_or_panicked = (&mut self.ended).await;
    }

    fn end(&self, how: Signal) {
        let mut control = self.shared.lock();
        control.stopping = true;
        if let Some(pid) = control.pid {
            signal(pid, how);
        }
        drop(control);
        self.shared.stopped.notify_all();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, launch: &Launch) {
        let mut wait = WAIT_FIRST;
        loop {
            let began = Instant::now();
            let ended = match self.run(launch) {
                None => return,
                Some(ended) => ended,
            };
            if RECOVERED_AFTER <= began.elapsed() {
                wait = WAIT_FIRST;
            }
            let control = self.lock();
            if control.stopping {
                return;
            }
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            warn!(ended, wait_ms, "the private redis-server ended and is started again");
            let waited = self.stopped.wait_timeout_while(control, wait, |control| !control.stopping);
            if waited.unwrap_or_else(PoisonError::into_inner).0.stopping {
                return;
            }
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// Runs the server once. Says how it ended, or nothing when it was not to be started any more.
    fn run(&self, launch: &Launch) -> Option<String> {
        let mut control = self.lock();
        if control.stopping {
            return None;
        }
        // Started under the lock: a stop finds either no server and prevents it, or one it can end.
        let mut server = match launch.start() {
            Ok(server) => server,
            Err(error) => {
                control.state = State::Ended(error.to_string());
                return Some(error.to_string());
            }
        };
        control.pid = Some(server.pid());
        control.output = server.output();
        control.state = State::Running;
        drop(control);
        let waited = server.wait_for_end();
        let mut control = self.lock();
        control.pid = None;
        let ended = match waited.and_then(|()| server.reap()) {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let words = control.output.last_lines();
        control.state = State::Ended(if words.is_empty() { ended.clone() } else { words });
        Some(ended)
    }
}
