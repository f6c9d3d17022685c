//! A private redis-server in a folder, for `hemostat up` without a Redis.
//!
//! It keeps an append-only file, evicts nothing, and listens on a socket in the folder that only its owner can
//! open. A thread starts it and starts it again, with a growing wait, when it ends.
//!
//! Invariants:
//! - MR-1: at most one process keeps a server in a folder (a lock that ends with the process).
//! - MR-2: at most one server writes in a folder: one that outlived its keeper is ended first, in order.
//! - MR-3: the server ends with its keeper, also when that is killed, where the system has `setpriv`; MR-2 covers
//!   the rest.

mod folder;
mod orphans;
mod supervisor;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::server::{self, Launch};
use folder::{Folder, Lock};
use supervisor::{State, Supervisor};

/// Longest wait for a server to be ready: it loads its data first, at some 100 MB in a second.
const READY_MAX: Duration = Duration::from_secs(300);
/// Longest wait for a server to end in order.
const END_MAX: Duration = Duration::from_secs(10);
/// Time between two looks at a state that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Where a private server is kept.
#[derive(Debug, Clone)]
pub struct ManagedSettings {
    /// The folder for its data; made where it is missing.
    pub data_dir: PathBuf,
    /// The server program; found on the search path where it is `None`.
    pub binary: Option<PathBuf>,
}

/// Why there is no private server.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// No server is installed.
    #[error(
        "there is no redis-server on this machine; install it (Debian, Ubuntu: apt install redis-server; \
         Fedora: dnf install redis; Alpine: apk add redis)"
    )]
    NoProgram,
    /// The program cannot be run.
    #[error("`{program}` cannot be run")]
    Program {
        /// The program.
        program: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The folder cannot be used.
    #[error("the folder `{folder}` cannot be used for a private Redis")]
    Folder {
        /// The folder.
        folder: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another process keeps a server there.
    #[error(
        "another hemostat (process {owner}) keeps its private Redis in `{folder}`; \
         stop it, or use another folder (data_dir, HEMOSTAT_DATA_DIR)"
    )]
    Taken {
        /// The folder.
        folder: String,
        /// Its process id, where it is known.
        owner: String,
    },
    /// A server that outlived its keeper does not end.
    #[error("the redis-server of an earlier run (process {0}) does not end; kill it")]
    Orphan(i32),
    /// The server ended before it was ready.
    #[error("the private redis-server ended at once: {0}")]
    Ended(String),
    /// The server did not get ready.
    #[error("the private redis-server was not ready in time: {0}")]
    Slow(String),
}

/// A private server that is kept running until [`ManagedRedis::shutdown`] or the end of the process.
pub struct ManagedRedis {
    folder: Folder,
    url: String,
    supervisor: Supervisor,
    _lock: Lock,
}

impl ManagedRedis {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// [`ManagedError`] says what to change.
    pub async fn start(settings: ManagedSettings) -> Result<Self, ManagedError> {
        let ManagedSettings { data_dir, binary } = settings;
        let program = binary.or_else(server::find_program).ok_or(ManagedError::NoProgram)?;
        let unusable = |source| ManagedError::Folder { folder: data_dir.display().to_string(), source };
        let folder = Folder::prepare(&data_dir).map_err(unusable)?;
        let lock = folder.lock().map_err(unusable)?.ok_or_else(|| ManagedError::Taken {
            folder: data_dir.display().to_string(),
            owner: folder.owner().unwrap_or_else(|| "unknown".to_owned()),
        })?;
        orphans::end(folder.path()).await?;
        let (url, config) = folder.configure().map_err(unusable)?;
        let launch = Launch::new(program.clone(), &config);
        let launch = launch.map_err(|source| {
            let program = program.display().to_string();
            if source.kind() == io::ErrorKind::NotFound {
                ManagedError::NoProgram
            } else {
                ManagedError::Program { program, source }
            }
        })?;
        let managed = Self { supervisor: Supervisor::start(launch), folder, url, _lock: lock };
        if let Err(error) = managed.wait_until_ready().await {
            managed.shutdown().await;
            return Err(error);
        }
        managed.folder.publish(&managed.url).map_err(unusable)?;
        info!(folder = %managed.folder.path().display(), program = %program.display(), "private Redis is ready");
        Ok(managed)
    }

    /// How to reach it. Stays the same while it is kept.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server in order: its file is complete and synced.
    pub async fn shutdown(mut self) {
        self.folder.unpublish();
        self.supervisor.stop();
        if timeout(END_MAX, self.supervisor.ended()).await.is_err() {
            warn!("the private redis-server does not end and is killed");
            self.supervisor.kill();
            self.supervisor.ended().await;
        }
    }

    /// The URL of the server that runs in `data_dir`, whoever keeps it.
    #[must_use]
    pub fn find(data_dir: &Path) -> Option<String> {
        folder::published(data_dir)
    }

    async fn wait_until_ready(&self) -> Result<(), ManagedError> {
        let began = Instant::now();
        loop {
            match self.supervisor.state() {
                State::Ended(output) => return Err(ManagedError::Ended(output)),
                State::Running if server::is_ready(&self.url).await => return Ok(()),
                State::Running | State::Starting => {}
            }
            if READY_MAX <= began.elapsed() {
                return Err(ManagedError::Slow(self.supervisor.output()));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
