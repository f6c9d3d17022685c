//! A redis-server process: how it is found, configured, started, and asked whether it is ready.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use redis::AsyncConnectionConfig;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tracing::debug;

/// Names under which distributions install the server.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];
/// Last lines of its output that are kept, to tell why it ended.
const LINES_KEPT: usize = 12;
/// Longest wait for an answer when it is asked whether it is ready.
const PING_MAX: Duration = Duration::from_secs(1);

/// How a server is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    program: PathBuf,
    /// Makes the server end with this process, where it is killed without a chance to stop the server.
    setpriv: Option<PathBuf>,
    config: String,
    /// The configuration of a sentinel, which writes into it what it learns.
    sentinel: Option<PathBuf>,
}

/// A server that was started. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    output: Output,
    _parent: mpsc::Sender<Infallible>,
}

/// The last lines a server wrote.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output(Arc<Mutex<VecDeque<String>>>);

/// Finds a server on the search path.
pub(crate) fn find_program() -> Option<PathBuf> {
    PROGRAMS.into_iter().find_map(on_path)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

impl Launch {
    /// Prepares to start `program` with `config`, and tries whether it runs at all.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn new(program: PathBuf, config: &[(&str, String)]) -> io::Result<Self> {
        let config = config.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        let mut launch = Self { program, setpriv: on_path("setpriv"), config, sentinel: None };
        let runs = |launch: &Self| {
            let run = launch.command().arg("--version").stdin(Stdio::null()).output()?;
            if run.status.success() { Ok(()) } else { Err(io::Error::other(run.status.to_string())) }
        };
        if launch.setpriv.is_some() && runs(&launch).is_err() {
            // A version of setpriv that cannot do it.
            launch.setpriv = None;
        }
        runs(&launch).map(|()| launch)
    }

    /// Prepares to start a sentinel: the same program on a file of its own.
    ///
    /// # Errors
    /// When the program does not run.
    #[cfg(feature = "testing")]
    pub(crate) fn sentinel(program: PathBuf, file: PathBuf) -> io::Result<Self> {
        Ok(Self { sentinel: Some(file), ..Self::new(program, &[])? })
    }

    fn command(&self) -> Command {
        let mut command = match &self.setpriv {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM", "--"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        // A group of its own: Ctrl-C at the terminal is for the agents, which need Redis to end in order.
        command.process_group(0);
        command
    }

    /// Starts it.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn start(&self) -> io::Result<Server> {
        let mut command = self.command();
        match &self.sentinel {
            Some(file) => command.arg(file).arg("--sentinel"),
            None => command.arg("-"),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The system ends the server with the thread that started it, so that is one which does nothing else.
        let (parent, parent_end) = mpsc::channel::<Infallible>();
        let (child_tx, child) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let _starter_gone = child_tx.send(command.spawn());
            let _server_dropped = parent_end.recv();
        });
        let gone = |_| io::Error::other("the thread that starts the server ended");
        let mut child = child.recv().map_err(gone)??;
        let output = Output::default();
        output.follow(child.stdout.take());
        output.follow(child.stderr.take());
        // Not on the command line, which everybody can read. An error means that it has ended, which is seen later.
        if let Some(mut stdin) = child.stdin.take()
            && let Err(error) = stdin.write_all(self.config.as_bytes())
        {
            debug!(%error, "the redis-server did not read its configuration");
        }
        Ok(Server { child, output, _parent: parent })
    }
}

impl Server {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn output(&self) -> Output {
        self.output.clone()
    }

    /// Waits until it has ended and leaves its process id taken, so that a signal cannot reach another process.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn wait_for_end(&self) -> io::Result<()> {
        loop {
            let waited = rustix::process::waitid(
                WaitId::Pid(self.pid()),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            );
            match waited {
                Err(rustix::io::Errno::INTR) => {}
                other => return other.map(|_status| ()).map_err(io::Error::from),
            }
        }
    }

    /// Gives its process id back, once it has ended; waits for that.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// Those of the system.
    #[cfg(feature = "testing")]
    pub(crate) fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing when it has ended and was waited for.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Output {
    fn follow(&self, stream: Option<impl Read + Send + 'static>) {
        let Some(stream) = stream else { return };
        let output = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { return };
                debug!(target: "hemostat_redis::server", "{line}");
                let mut lines = output.0.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == LINES_KEPT {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
        });
    }

    /// The last lines.
    pub(crate) fn last_lines(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

/// Sends a signal to a process that is known to be there; nothing when it has just ended.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = rustix::process::kill_process(pid, signal) {
        debug!(pid = pid.as_raw_nonzero().get(), %error, "the redis-server takes no signal");
    }
}

/// Whether the server at `url` answers and has loaded its data.
pub(crate) async fn is_ready(url: &str) -> bool {
    let ping = async {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PING_MAX))
            .set_response_timeout(Some(PING_MAX));
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await
    };
    ping.await.is_ok_and(|pong| pong == "PONG")
}

/// A path as a word of the configuration.
pub(crate) fn quoted(path: &Path) -> String {
    let mut quoted = String::from("\"");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => quoted.push(char::from(*byte)),
            other => quoted.push_str(&format!("\\x{other:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

/// The URL of a server that listens on the socket `path`.
pub(crate) fn socket_url(path: &Path) -> String {
    let mut url = String::from("unix://");
    for byte in OsStr::as_bytes(path.as_os_str()) {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' => url.push(char::from(*byte)),
            letter if letter.is_ascii_alphanumeric() => url.push(char::from(*letter)),
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests;
