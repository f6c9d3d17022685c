//! The file that `hemostat acl --form aclfile` prints, under a real redis-server that is restarted.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hemostat_agent::log::{EntryId, EventLog as _, Partition, StreamName};
use hemostat_event::{EventType, Role};
use hemostat_redis::{RedisLog, RedisSettings};
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{LIMIT, hemostat, run};
use crate::rights::{decision, event};

const PASSWORD: &str = "open-sesame";

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_file_keeps_the_log_over_a_restart_and_strangers_out() {
    let printed = printed();
    assert!(printed.starts_with("user default off "), "{printed}");
    let mut server = Server::new(&printed);
    assert_eq!(server.events_after_a_restart().await, 1);
    assert!(server.stranger().contains("NOAUTH"), "{}", server.stranger());
}

/// What the line of the default user is for, and why nothing may be left out of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_default_user_without_rights_costs_the_log_and_without_a_line_lets_everybody_in() {
    let printed = printed();
    let (_default, others) = printed.split_once('\n').expect("it has lines");
    let mut server = Server::new(&format!("user default off\n{others}"));
    assert_eq!(server.events_after_a_restart().await, 0, "Redis passed over what the log had written");
    let mut server = Server::new(others);
    assert_eq!(server.events_after_a_restart().await, 1);
    assert_eq!(server.stranger(), "PONG");
}

/// The file as it is printed for all roles, each with the same password.
fn printed() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).expect("the folder can be written to");
    let file = file.to_str().expect("a path in UTF-8");
    let answer = run(&mut hemostat(&["acl", "--form", "aclfile", "--password-file", file]));
    assert_eq!(answer.code, 0, "{}", answer.err);
    answer.out
}

/// A redis-server with an append-only file and a file of users.
struct Server {
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Server {
    fn new(users: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("users.acl"), users).expect("the folder can be written to");
        let mut server = Self { folder, process: None };
        server.start();
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn start(&mut self) {
        let mut command = Command::new("redis-server");
        command.current_dir(self.folder.path()).stdout(Stdio::null());
        command.args(["--port", "0", "--unixsocket", "redis.sock", "--aclfile", "users.acl"]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        self.process = Some(command.spawn().expect("redis-server is installed"));
        let began = Instant::now();
        while self.says(&["--user", "hemostat-operator", "--pass", PASSWORD, "--no-auth-warning", "PING"])
            != "PONG"
        {
            assert!(began.elapsed() < LIMIT, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        kill_process(Pid::from_child(&process), Signal::TERM).expect("it runs");
        process.wait().expect("it ends");
    }

    /// What it says to redis-cli.
    fn says(&self, words: &[&str]) -> String {
        let socket = self.socket();
        let mut client = Command::new("redis-cli");
        client.args(["-s", socket.to_str().expect("a path in UTF-8")]).args(words);
        let answer = run(&mut client);
        (answer.out + &answer.err).trim().to_owned()
    }

    /// What it says to somebody without a password.
    fn stranger(&self) -> String {
        self.says(&["PING"])
    }

    async fn log(&self, role: Role) -> RedisLog {
        let url = format!("unix://{}?user=hemostat-{role}&pass={PASSWORD}", self.socket().display());
        let settings = RedisSettings { url, namespace: "hemostat".to_owned(), partitions: None };
        RedisLog::connect(settings).await.expect("the log opens")
    }

    /// How many events the log has after one was written and the server was restarted.
    async fn events_after_a_restart(&mut self) -> usize {
        let log = self.log(Role::Analyzer).await;
        log.append(&[event(Role::Analyzer, decision())]).await.expect("the analyzer may write it");
        assert_eq!(self.events().await, 1, "before");
        self.stop();
        self.start();
        self.events().await
    }

    async fn events(&self) -> usize {
        let (stream, log) = (StreamName::Type(EventType::FalseAlarm), self.log(Role::Operator).await);
        log.range(Partition(0), &stream, EntryId::ZERO, 10).await.expect("it can be read").len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
