//! A program that is asked for root causes: one alert a line on its input, one answer a line on its output.
//!
//! An alert comes as its schema says (`schemas/v1/health_alert.json`, the `data`). The answer is what the `data` of a
//! `diagnosis` may say, or `{"error": "why not"}`. What the program writes to standard error is shown.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hemostat_core::replay::Provider;
use hemostat_event::{Diagnosis, HealthAlert};
use serde::{Deserialize, Serialize};

/// Longest wait for an answer: a language model takes seconds.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// What came of asking.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Asked {
    /// Alerts it was asked about.
    pub asked: u64,
    /// Those it did not answer; the rules decided alone.
    pub failed: u64,
    /// What was wrong the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
}

/// A program that runs, and what came of asking it so far.
pub(super) struct Program {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    child: Child,
    input: ChildStdin,
    lines: Receiver<std::io::Result<String>>,
    /// Why it is not asked any more.
    gone: Option<String>,
    asked: Asked,
}

impl Shared {
    fn diagnose(&mut self, alert: &HealthAlert) -> Result<Diagnosis, String> {
        self.asked.asked += 1;
        let answer = match &self.gone {
            Some(why) => Err(why.clone()),
            None => self.ask(alert),
        };
        answer.inspect_err(|why| {
            self.asked.failed += 1;
            self.asked.first_failure.get_or_insert_with(|| why.clone());
        })
    }

    fn ask(&mut self, alert: &HealthAlert) -> Result<Diagnosis, String> {
        let mut question = serde_json::to_vec(alert).expect("an alert has only values that JSON can write");
        question.push(b'\n');
        let line = match self.input.write_all(&question).and_then(|()| self.input.flush()) {
            Ok(()) => self.lines.recv_timeout(ANSWER_MAX),
            Err(_closed) => Err(RecvTimeoutError::Disconnected),
        };
        let gone = match line {
            Ok(Ok(line)) => {
                return match serde_json::from_str(&line) {
                    Ok(Answer::Found(diagnosis)) => Ok(*diagnosis),
                    Ok(Answer::Failed { error }) => Err(error),
                    Err(error) => Err(format!("its answer is no diagnosis: {error}")),
                };
            }
            Ok(Err(error)) => format!("its answer is no text: {error}"),
            Err(RecvTimeoutError::Timeout) => format!("no answer within {} s", ANSWER_MAX.as_secs()),
            Err(RecvTimeoutError::Disconnected) => "it has ended".to_owned(),
        };
        // What it would say next might be the answer to this.
        Err(self.gone.insert(gone).clone())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A line of the program.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Failed { error: String },
    Found(Box<Diagnosis>),
}

impl Program {
    /// Starts a command line.
    ///
    /// # Errors
    /// When there is no shell to start it.
    pub(super) fn start(line: &str) -> anyhow::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("failed to start the provider")?;
        let input = child.stdin.take().context("the provider has no input")?;
        let output = child.stdout.take().context("the provider has no output")?;
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if send.send(line).is_err() {
                    // The test has ended.
                    return;
                }
            }
        });
        let shared = Shared { child, input, lines, gone: None, asked: Asked::default() };
        Ok(Self { shared: Arc::new(Mutex::new(shared)) })
    }

    /// Who asks it.
    pub(super) fn provider(&self) -> Provider {
        let shared = Arc::clone(&self.shared);
        Provider::new(move |alert| shared.lock().unwrap_or_else(PoisonError::into_inner).diagnose(alert))
    }

    /// What came of asking so far.
    pub(super) fn asked(&self) -> Asked {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }
}
