//! Real containers for tests and benchmarks: an image from busybox, containers with a label of their own, and
//! nothing left behind.
//!
//! Needs an engine (`DOCKER_HOST`, or the usual socket) and the static busybox of the package `busybox-static`;
//! fails with a message that says so where one is missing.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hemostat_agent::containers::{Containers as _, EngineError};
use hemostat_event::ContainerId;
use tokio::time::{Instant, sleep, timeout};

use crate::image::{ScratchImage, check_static, scratch_image_tar};
use crate::workload::WorkloadSpec;
use crate::{DockerEngine, EngineSettings};

/// Where busybox-static puts its binary.
const BUSYBOX: &str = "/bin/busybox";
/// The applets that commands in tests use.
const APPLETS: [&str; 9] = [
    "/bin/sh",
    "/bin/sleep",
    "/bin/cat",
    "/bin/dd",
    "/bin/tail",
    "/bin/test",
    "/bin/true",
    "/bin/false",
    "/bin/yes",
];
/// The label that carries a lab's name.
const LAB_LABEL: &str = "hemostat.lab";
/// Time between two looks at a state that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Does nothing until it is asked to end.
pub const IDLE: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done";

/// What can go wrong in a lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// There is no static busybox.
    #[error("`{BUSYBOX}` is missing or not static; install the package busybox-static")]
    Busybox(#[source] std::io::Error),
    /// The engine failed.
    #[error("the lab needs a container engine")]
    Engine(#[from] EngineError),
}

/// A set of containers that is removed with everything that belongs to it.
#[derive(Debug)]
pub struct Lab {
    engine: Arc<DockerEngine>,
    name: String,
    image: String,
    cleaned: bool,
}

impl Lab {
    /// Finds the engine and loads the image.
    ///
    /// # Errors
    /// [`LabError`] when there is no engine or no busybox.
    pub async fn start() -> Result<Self, LabError> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let lab = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("hemostat-lab-{}-{lab}-{:x}", std::process::id(), nanos % (1 << 40));
        let engine = Arc::new(DockerEngine::connect(settings())?);
        engine.info().await?;
        let binary = static_busybox(Path::new(BUSYBOX)).map_err(LabError::Busybox)?;
        let image = format!("{name}:1");
        let archive = scratch_image_tar(&ScratchImage {
            reference: &image,
            binary: &binary,
            path: "/bin/busybox",
            links: &APPLETS,
            entrypoint: &[],
            cmd: &["/bin/sh", "-c", IDLE],
            health: None,
            // An image of its own for each lab, so that one may go while another is made.
            labels: &[(LAB_LABEL, &name)],
        })
        .map_err(LabError::Busybox)?;
        engine.load_image(archive).await?;
        Ok(Self { engine, name, image, cleaned: false })
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> Arc<DockerEngine> {
        Arc::clone(&self.engine)
    }

    /// The image, for containers made by other means.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The full name of the lab's container `name`.
    #[must_use]
    pub fn container_name(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// Starts a container that runs the shell command `script`; `adjust` adds limits, labels, checks.
    ///
    /// # Errors
    /// Those of [`DockerEngine::create_and_start`].
    pub async fn run(
        &self,
        name: &str,
        script: &str,
        adjust: impl FnOnce(&mut WorkloadSpec),
    ) -> Result<ContainerId, EngineError> {
        let mut spec = WorkloadSpec {
            name: self.container_name(name),
            image: self.image.clone(),
            cmd: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            stop_timeout_secs: Some(1),
            ..Default::default()
        };
        adjust(&mut spec);
        spec.labels.insert(LAB_LABEL.to_owned(), self.name.clone());
        self.engine.create_and_start(&spec).await
    }

    /// Removes the lab's containers and its image.
    ///
    /// # Errors
    /// The first failure; the rest is tried all the same.
    pub async fn cleanup(mut self) -> Result<(), EngineError> {
        self.cleaned = true;
        clean(&self.engine, &self.name, &self.image).await
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.cleaned {
            return;
        }
        let (name, image) = (self.name.clone(), self.image.clone());
        // The runtime of the test may be going down or blocked by this very drop, so the cleaning has its own.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let engine = DockerEngine::connect(settings());
            if let (Ok(runtime), Ok(engine)) = (runtime, engine) {
                let cleaned = runtime.block_on(clean(&engine, &name, &image));
                if let Err(error) = cleaned {
                    eprintln!("lab `{name}` was not cleaned up: {error}");
                }
            }
        });
        let _panicked = cleaner.join();
    }
}

/// Waits until `look` finds something, at most `limit` long.
///
/// # Panics
/// When it is not found in time; `what` goes into the message.
pub async fn eventually<T, Look: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Look,
) -> T {
    let began = Instant::now();
    let found = timeout(limit, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(LOOK_EVERY).await;
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_elapsed) => panic!("{what}: not seen in {:?}", began.elapsed()),
    }
}

async fn clean(engine: &DockerEngine, name: &str, image: &str) -> Result<(), EngineError> {
    let mut result = Ok(());
    for id in engine.list_by_label(&format!("{LAB_LABEL}={name}")).await? {
        match engine.remove_container(&id, true).await {
            Ok(()) | Err(EngineError::NotFound(_)) => {}
            Err(error) => result = result.and(Err(error)),
        }
    }
    result.and(engine.remove_image(image).await)
}

fn settings() -> EngineSettings {
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    EngineSettings { host, timeout: Duration::from_secs(30), ..EngineSettings::default() }
}

fn static_busybox(path: &Path) -> std::io::Result<Vec<u8>> {
    let binary = std::fs::read(path)?;
    check_static(&binary).map_err(std::io::Error::other)?;
    Ok(binary)
}
