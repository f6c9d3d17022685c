//! Servers that outlived their keeper.
//!
//! A server that still writes in the folder would spoil the files of a second one. It is known by its working
//! folder, which it never leaves, so also one that hangs is found.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{END_MAX, LOOK_EVERY, ManagedError};
use crate::server::signal;

/// Longest wait for a server to end that was killed.
const KILL_MAX: Duration = Duration::from_secs(5);

/// Ends the servers in `folder`; the caller has its lock, so nobody keeps them. In order first, by force after
/// [`END_MAX`].
pub(super) async fn end(folder: &Path) -> Result<(), ManagedError> {
    for (how, limit) in [(Signal::TERM, END_MAX), (Signal::KILL, KILL_MAX)] {
        let orphans = find(folder);
        for pid in &orphans {
            warn!(pid = pid.as_raw_nonzero().get(), ?how, "ending the redis-server of an earlier run");
            signal(*pid, how);
        }
        let began = Instant::now();
        while !find(folder).is_empty() && began.elapsed() < limit {
            sleep(LOOK_EVERY).await;
        }
    }
    match find(folder).first() {
        None => Ok(()),
        Some(pid) => Err(ManagedError::Orphan(pid.as_raw_nonzero().get())),
    }
}

/// Redis servers whose working folder is `folder`.
fn find(folder: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let process = Path::new("/proc").join(pid.to_string());
        // A process that has ended has no working folder any more.
        let here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
        here && fs::read_to_string(process.join("comm")).is_ok_and(|name| is_server(&name))
    })
    .filter_map(Pid::from_raw)
    .collect()
}

fn is_server(name: &str) -> bool {
    ["redis-", "valkey-"].iter().any(|begin| name.starts_with(begin)) && !name.contains("-cli")
}
