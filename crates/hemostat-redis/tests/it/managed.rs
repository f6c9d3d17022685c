//! The private redis-server of `hemostat up`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hemostat_agent::log::EventLog as _;
use hemostat_redis::managed::{ManagedError, ManagedRedis, ManagedSettings};
use hemostat_redis::{RedisLog, RedisSettings};

use crate::given::{changed, changes, eventually, numbers};

#[tokio::test]
async fn it_keeps_the_log_over_a_shutdown() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(ManagedRedis::find(dir.path()), None);
    let managed = start(dir.path()).await;
    assert!(managed.url().starts_with("unix:///"), "{}", managed.url());
    assert_eq!(ManagedRedis::find(dir.path()).as_deref(), Some(managed.url()));
    let log = open(managed.url()).await;
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
    log.append(&changes(0, 5)).await.expect("the log is there");
    let pid = process_id(managed.url()).await;
    managed.shutdown().await;
    assert!(!runs(pid), "it has ended");
    assert_eq!(ManagedRedis::find(dir.path()), None);
    let again = start(dir.path()).await;
    assert_eq!(numbers(&open(again.url()).await).await, [1, 2, 3, 4, 5]);
    again.shutdown().await;
}

#[tokio::test]
async fn a_killed_server_is_started_again_and_found_under_the_same_url() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let managed = start(dir.path()).await;
    let log = open(managed.url()).await;
    for kills in 1..=3 {
        assert!(
            eventually("an append", || async { log.append(&[changed("db", kills)]).await.ok() }).await.len()
                <= 1
        );
        let pid = process_id(managed.url()).await;
        kill(pid, "KILL");
        eventually("another server", || async {
            let other = info(managed.url()).await?;
            (other != pid).then_some(())
        })
        .await;
    }
    assert_eq!(ManagedRedis::find(dir.path()).as_deref(), Some(managed.url()));
    managed.shutdown().await;
}

#[tokio::test]
async fn a_folder_is_for_one_keeper() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let managed = start(dir.path()).await;
    let pid = process_id(managed.url()).await;
    let error = refused(ManagedRedis::start(settings(dir.path())).await);
    let ManagedError::Taken { owner, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*owner, std::process::id().to_string());
    assert!(error.to_string().contains("HEMOSTAT_DATA_DIR"), "{error}");
    assert_eq!(process_id(managed.url()).await, pid, "the first is not disturbed");
    managed.shutdown().await;
    start(dir.path()).await.shutdown().await;
}

#[tokio::test]
async fn a_server_that_outlived_its_keeper_is_replaced_even_if_it_hangs() {
    for hangs in [false, true] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let managed = start(dir.path()).await;
        let folder = dir.path().canonicalize().expect("it is there").join("redis");
        managed.shutdown().await;
        let mut orphan = orphan(&folder).await;
        let pid = orphan.0.id();
        if hangs {
            kill(pid, "STOP");
        }
        let managed = start(dir.path()).await;
        assert_ne!(process_id(managed.url()).await, pid);
        eventually("the end of the orphan", || async { (!runs(pid)).then_some(()) }).await;
        let status = orphan.0.wait().expect("it can be waited for");
        assert_eq!(status.success(), !hangs, "in order where it can: {status}");
        managed.shutdown().await;
    }
}

/// The same test runs in another process, as the keeper that is killed.
#[tokio::test]
async fn the_server_ends_with_its_keeper() {
    const KEEPER: &str = "HEMOSTAT_TEST_KEEPER_DIR";
    if let Some(dir) = std::env::var_os(KEEPER) {
        let _managed = start(Path::new(&dir)).await;
        std::future::pending::<()>().await;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let this = std::env::current_exe().expect("this test has a program");
    let keeper = Command::new(this)
        .args(["--exact", "managed::the_server_ends_with_its_keeper"])
        .env(KEEPER, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test can be run");
    let mut keeper = Process(keeper);
    let url = eventually("the keeper's server", || async { ManagedRedis::find(dir.path()) }).await;
    let pid = process_id(&url).await;
    keeper.0.kill().expect("it can be killed");
    keeper.0.wait().expect("it ends");
    eventually("the end of the server", || async { (!runs(pid)).then_some(()) }).await;
    assert_eq!(ManagedRedis::find(dir.path()), None);
    start(dir.path()).await.shutdown().await;
}

#[tokio::test]
async fn a_long_path_leads_to_a_port_that_needs_a_password() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deep = dir.path().join("a".repeat(60)).join("b".repeat(60));
    let managed = start(&deep).await;
    assert!(managed.url().starts_with("redis://:"), "a port on this machine");
    assert_eq!(ManagedRedis::find(&deep).as_deref(), Some(managed.url()));
    open(managed.url()).await.append(&changes(0, 1)).await.expect("the log is there");
    let (_, address) = managed.url().split_once('@').expect("it has a password");
    let settings = RedisSettings {
        url: format!("redis://{address}"),
        namespace: "hemostat".to_owned(),
        partitions: None,
    };
    assert!(RedisLog::connect(settings).await.is_err(), "without the password nobody gets in");
    managed.shutdown().await;
}

#[tokio::test]
async fn what_is_missing_or_broken_is_said() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let with = |binary: &str| ManagedSettings { binary: Some(binary.into()), ..settings(dir.path()) };
    let error = refused(ManagedRedis::start(with("/nowhere/redis-server")).await);
    assert!(error.to_string().contains("apt install redis-server"), "{error}");
    let error = refused(ManagedRedis::start(with("/bin/false")).await);
    assert!(matches!(error, ManagedError::Program { .. }), "{error:?}");
    // A file of the server that is not one.
    let files = dir.path().join("redis/appendonlydir");
    std::fs::create_dir_all(&files).expect("it can be made");
    std::fs::write(files.join("appendonly.aof.manifest"), "nonsense\n").expect("it can be written");
    let error = refused(ManagedRedis::start(settings(dir.path())).await);
    assert!(matches!(&error, ManagedError::Ended(words) if words.contains("manifest")), "{error:?}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("it can be written");
    let error = refused(ManagedRedis::start(settings(&file)).await);
    assert!(matches!(error, ManagedError::Folder { .. }), "{error:?}");
}

#[tokio::test]
async fn a_keeper_that_is_dropped_takes_its_server_with_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let managed = start(dir.path()).await;
    let pid = process_id(managed.url()).await;
    drop(managed);
    eventually("the end of the server", || async { (!runs(pid)).then_some(()) }).await;
}

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing when it has ended and was waited for.
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A server in `folder` that nobody keeps.
async fn orphan(folder: &Path) -> Process {
    let child = Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "orphan.sock", "--appendonly", "yes", "--dir"])
        .arg(folder)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    let orphan = Process(child);
    let socket = folder.join("orphan.sock");
    eventually("the orphan's socket", || async { socket.exists().then_some(()) }).await;
    orphan
}

fn settings(dir: &Path) -> ManagedSettings {
    ManagedSettings { data_dir: dir.to_owned(), binary: None }
}

async fn start(dir: &Path) -> ManagedRedis {
    ManagedRedis::start(settings(dir)).await.expect("a private Redis")
}

async fn open(url: &str) -> RedisLog {
    let settings = RedisSettings { url: url.to_owned(), namespace: "hemostat".to_owned(), partitions: None };
    RedisLog::connect(settings).await.expect("the log can be opened")
}

fn refused(started: Result<ManagedRedis, ManagedError>) -> ManagedError {
    match started {
        Ok(_) => panic!("it should be refused"),
        Err(error) => error,
    }
}

async fn process_id(url: &str) -> u32 {
    eventually("an answer", || info(url)).await
}

/// The process id of the server, where it answers.
async fn info(url: &str) -> Option<u32> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(5)));
    let client = redis::Client::open(url).expect("it is a URL");
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.ok()?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.ok()?;
    info.lines().find_map(|line| line.strip_prefix("process_id:")?.parse().ok())
}

/// Whether a process is there and has not ended.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn kill(pid: u32, signal: &str) {
    let status =
        Command::new("kill").args(["-s", signal, &pid.to_string()]).status().expect("kill can be run");
    assert!(status.success());
}
