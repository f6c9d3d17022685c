//! What a test of the whole binary needs: a Redis, real containers, and processes that are gone with the test.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hemostat_agent::log::{Entry, EventLog};
use hemostat_agent::tail::Tail;
use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, EventType};
use hemostat_redis::testing::TestRedis;
use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for a state on a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Held while a test has containers on the engine: every `hemostat up` sees and heals those of all tests.
pub(crate) static ENGINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The binary under test, without the settings of whoever runs the tests.
pub(crate) fn hemostat(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hemostat"));
    let kept = ["PATH", "DOCKER_HOST", "TMPDIR"].map(|name| (name, std::env::var_os(name)));
    command.env_clear().args(args).stdin(Stdio::null());
    for (name, value) in kept {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env("HEMOSTAT_HTTP_LISTEN", "127.0.0.1:0");
    command
}

/// The answer of a command that ends by itself.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Answer {
    let output = command.output().expect("the binary runs");
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A process of `hemostat` that runs until it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it; its log lines are kept for the message of a failed test.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { child, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process runs");
    }

    /// Asks it to end; the exit code and the time it took.
    pub(crate) fn terminate(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        self.signal(Signal::TERM);
        while began.elapsed() < LIMIT {
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                return (status.code(), began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it did not end in {LIMIT:?}; it said: {:#?}", self.said());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the process can be waited for").is_none()
    }

    /// What it has written to standard error.
    pub(crate) fn said(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("process {} said: {:#?}", self.child.id(), self.said());
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A command of `hemostat-replay`, whatever the environment of the tests says.
pub(crate) fn hemostat_replay(arguments: &[&str]) -> Command {
    let mut command = Command::new(replay_program());
    for name in ["HEMOSTAT_ARCHIVE_URL", "HEMOSTAT_REDIS_URL", "HEMOSTAT_REDIS_NAMESPACE"] {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// The program beside this one's.
pub(crate) fn replay_program() -> PathBuf {
    built("hemostat-replay", &["--package", "hemostat-replay"])
}

/// The program of an example of this package.
pub(crate) fn example(name: &str) -> PathBuf {
    built(&format!("examples/{name}"), &["--package", "hemostat", "--example", name])
}

/// What else is built into the folder of programs, made where the build of these tests has not made it.
fn built(path: &str, what: &[&str]) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_hemostat")).with_file_name(path);
    if !program.exists() {
        let folder =
            Path::new(env!("CARGO_BIN_EXE_hemostat")).parent().expect("there is a folder of programs");
        let target = folder.parent().and_then(Path::file_name).expect("it is named after the target");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--locked", "--quiet"]).args(what).arg("--target").arg(target);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success());
    }
    program
}

/// A log on a Redis of its own.
pub(crate) struct Rig {
    pub(crate) redis: TestRedis,
    pub(crate) log: Arc<dyn EventLog>,
}

impl Rig {
    /// Starts a Redis with persistence, as in production.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[("appendonly", "yes"), ("appendfsync", "always")]).await
    }

    /// Starts one with these lines of configuration.
    pub(crate) async fn start_with(config: &[(&str, &str)]) -> Self {
        let redis = TestRedis::start_with(config).await.expect("a redis-server");
        let log = redis.log().await.expect("the log opens");
        Self { redis, log: Arc::new(log) }
    }

    /// Sends a command past the log; the answer as text.
    pub(crate) async fn redis_says(&self, words: &[&str]) -> String {
        let answer: Result<redis::Value, _> = self.redis.command(words).await;
        match answer.expect("Redis takes the command") {
            redis::Value::Int(number) => number.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// A command of the binary on this log.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = hemostat(args);
        command.env("HEMOSTAT_REDIS_URL", self.redis.url());
        command
    }

    /// Every event in the log, in order, without samples.
    pub(crate) async fn events(&self) -> Vec<(Position, Event)> {
        let mut tail = Tail::new(Arc::clone(&self.log), None, vec![EventType::ContainerSample]);
        let mut all = Vec::new();
        loop {
            let Ok(entries) = tail.next().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if entries.is_empty() {
                return all;
            }
            all.extend(entries.into_iter().filter_map(placed));
        }
    }

    /// Waits until the log says enough; all of it then.
    pub(crate) async fn until(
        &self,
        what: &str,
        limit: Duration,
        enough: impl Fn(&[(Position, Event)]) -> bool,
    ) -> Vec<(Position, Event)> {
        let began = Instant::now();
        loop {
            let events = self.events().await;
            if enough(&events) {
                return events;
            }
            assert!(
                began.elapsed() < limit,
                "{what}: not in the log after {limit:?}; it has {:#?}",
                tell(&events)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn placed(entry: Entry) -> Option<(Position, Event)> {
    let position = Position { partition: entry.at.partition.0, seq: entry.seq? };
    entry.event.ok().map(|event| (position, event))
}

/// The log in a few words, for the message of a failed test.
fn tell(events: &[(Position, Event)]) -> Vec<String> {
    let last = events.len().saturating_sub(40);
    let line = |(position, event): &(Position, Event)| {
        let subject = event.envelope.subject.as_ref().map_or("-", |subject| subject.name());
        format!("{} {subject} {}", position.seq, hemostat_core::project::summary(event))
    };
    events[last..].iter().map(line).collect()
}

/// The events about one container.
pub(crate) fn about<'a>(events: &'a [(Position, Event)], name: &str) -> Vec<&'a Event> {
    let named =
        |event: &&Event| event.envelope.subject.as_ref().is_some_and(|subject| subject.name() == name);
    events.iter().map(|(_, event)| event).filter(named).collect()
}

/// How many events fit.
pub(crate) fn count(events: &[(Position, Event)], wanted: impl Fn(&Data) -> bool) -> usize {
    events.iter().filter(|(_, event)| wanted(&event.data)).count()
}
