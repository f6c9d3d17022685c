//! The terminal of whoever runs the alert agent, or its log.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use hemostat_agent::log::BoxError;
use hemostat_agent::notifier::{DeliveryError, Notifier};
use hemostat_core::notify::Message;
use hemostat_event::{Channel, Severity};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Longest wait for a write: a paused pager must not stop the agent.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Messages that wait for the writer.
const QUEUE_MAX: usize = 64;

type Job = (String, oneshot::Sender<io::Result<()>>);

/// Standard output, a block of lines per message.
pub struct Terminal {
    jobs: SyncSender<Job>,
    colour: bool,
}

impl Terminal {
    /// A channel that writes to standard output; in colour where that is a terminal and `NO_COLOR` is not set.
    #[must_use]
    pub fn stdout() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::writing(io::stdout(), io::stdout().is_terminal() && !plain)
    }

    /// A channel that writes to `out`. The writer has a thread of its own, outside the runtime: a write that hangs
    /// must not keep the process from ending.
    fn writing(out: impl Write + Send + 'static, colour: bool) -> Self {
        let (jobs, queue) = sync_channel(QUEUE_MAX);
        thread::spawn(move || write(out, &queue));
        Self { jobs, colour }
    }
}

fn write(mut out: impl Write, queue: &Receiver<Job>) {
    while let Ok((block, done)) = queue.recv() {
        let written = out.write_all(block.as_bytes()).and_then(|()| out.flush());
        // Whoever asked may have stopped waiting.
        let _gone = done.send(written);
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("colour", &self.colour).finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for Terminal {
    fn channel(&self) -> Channel {
        Channel::Terminal
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let retry =
            |source: BoxError| DeliveryError::Retry { channel: Channel::Terminal, after: None, source };
        let (done, written) = oneshot::channel();
        match self.jobs.try_send((block(message, self.colour), done)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(retry("it is far behind".into())),
            Err(TrySendError::Disconnected(_)) => return Err(retry("its writer ended".into())),
        }
        match timeout(TIMEOUT, written).await {
            Ok(Ok(Ok(()))) => Ok(()),
            // Nobody reads it any more, and nobody will.
            Ok(Ok(Err(error))) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(DeliveryError::Refused { channel: Channel::Terminal, source: error.into() })
            }
            Ok(Ok(Err(error))) => Err(retry(error.into())),
            Ok(Err(gone)) => Err(retry(gone.into())),
            Err(_elapsed) => Err(retry("nothing was written within 10 s".into())),
        }
    }
}

/// A message as people read it: time, severity and title; then what there is to know.
fn block(message: &Message, colour: bool) -> String {
    let time = message.event.envelope.time.to_datetime().format("%Y-%m-%d %H:%M:%S UTC");
    let (on, off) = if colour { (ansi(message.severity), "\u{1b}[0m") } else { ("", "") };
    let mut block = format!("{time}  {on}{:<8} {}{off}\n", message.severity.as_str(), line(&message.title));
    let mut indented = |text: String| {
        if !text.is_empty() {
            // Writing to a `String` cannot fail.
            let _infallible = writeln!(block, "    {text}");
        }
    };
    indented(line(&message.text));
    let fields = message.fields.iter().map(|(name, value)| format!("{}: {}", line(name), line(value)));
    indented(fields.collect::<Vec<_>>().join(" · "));
    block
}

fn ansi(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "\u{1b}[32m",
        Severity::Warning => "\u{1b}[33m",
        Severity::High | Severity::Critical => "\u{1b}[1;31m",
    }
}

/// `text` on one line. Control characters and marks that turn the direction of writing are left out: what a container
/// wrote must not move the cursor or pass itself off as something else.
fn line(text: &str) -> String {
    let shown = text.chars().map(|c| if c == '\n' || c == '\t' || c == '\r' { ' ' } else { c }).filter(|c| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !c.is_control() && !turns
    });
    shown.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
