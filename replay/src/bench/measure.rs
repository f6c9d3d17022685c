//! Runs a process and says what it took.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// Between two looks at a process: its memory grows slowly.
const LOOKS: Duration = Duration::from_millis(5);

/// What a process took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub seconds: f64,
    /// Processor time of all its threads, and of the processes it started.
    pub cpu_seconds: f64,
    /// Most memory at a time, where it was looked at.
    pub peak_kib: Option<u64>,
}

/// Runs a verb of this program on an archive.
///
/// # Errors
/// When it cannot be run, or finds something.
pub(super) fn of_archive(archive: &Path, verb: &[&str]) -> anyhow::Result<Measured> {
    let program = std::env::current_exe().context("this program has no name")?;
    let mut command = Command::new(program);
    command.env_clear().arg("--archive").arg(archive).args(verb);
    let began = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("it cannot be started")?;
    watch(child, began)
}

/// Runs a line of shell; `None` where it fails, as without `zstd`. Its memory is not looked at.
pub(super) fn of_shell(line: &str) -> Option<Measured> {
    let (began, before) = (Instant::now(), cpu_of_children()?);
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", line]).stdin(Stdio::null()).stdout(Stdio::null());
    let done = command.status().ok()?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu_seconds = cpu_of_children()? - before;
    done.success().then_some(Measured { seconds, cpu_seconds, peak_kib: None })
}

fn watch(mut child: Child, began: Instant) -> anyhow::Result<Measured> {
    let before = cpu_of_children().context("there is no /proc")?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = None;
    loop {
        peak_kib = peak_kib.max(peak(&status));
        if let Some(status) = child.try_wait().context("it cannot be waited for")? {
            ensure!(status.success(), "it ended with {status}");
            let seconds = began.elapsed().as_secs_f64();
            let cpu_seconds = cpu_of_children().context("there is no /proc")? - before;
            return Ok(Measured { seconds, cpu_seconds, peak_kib });
        }
        std::thread::sleep(LOOKS);
    }
}

/// The most memory a process had, in KiB; `None` when it has ended.
fn peak(status: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The processor time of all children that have ended, and of theirs, in seconds.
fn cpu_of_children() -> Option<f64> {
    // The second field is the name in brackets, which may hold anything; the times of children are the 16th and 17th.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    // Linux counts in hundredths wherever this program runs.
    Some((ticks()? + ticks()?) as f64 / 100.0)
}
