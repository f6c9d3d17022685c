//! What is said when something is wrong or out of reach, and the exit code that goes with it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;

use crate::rig::{Rig, hemostat, run};

#[test]
fn all_problems_of_a_configuration_are_said_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hemostat.toml");
    std::fs::write(&file, "[responder]\ncoldown = \"1h\"\nbudget = 0\n[monitor]\ncpu_percent = 200\n")
        .expect("a file");
    let mut command = hemostat(&["--set", "responder.dry_run=perhaps", "up", "--config"]);
    command.arg(&file).env("HEMOSTAT_LOG_FORMAT", "xml").env("HEMOSTAT_REDIS_URI", "redis://x");
    let answer = run(&mut command);
    assert_eq!(answer.code, 2, "{}", answer.err);
    assert_eq!(answer.out, "");
    for problem in [
        "responder.coldown",
        "responder.cooldown",
        "responder.budget",
        "monitor.cpu_percent",
        "log.format",
        "responder.dry_run",
        "HEMOSTAT_REDIS_URI",
        "HEMOSTAT_REDIS_URL",
    ] {
        assert!(answer.err.contains(problem), "`{problem}` is missing in: {}", answer.err);
    }
}

#[test]
fn an_engine_that_is_not_there_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = format!("unix://{}/docker.sock", folder.path().display());
    for role in ["monitor", "responder", "up", "demo"] {
        let answer = run(hemostat(&[role]).env("DOCKER_HOST", &socket));
        assert_eq!(answer.code, 3, "{role}: {}", answer.err);
        assert!(
            answer.err.contains("there is no socket") && answer.err.contains("systemctl start docker"),
            "{}",
            answer.err
        );
    }
}

#[test]
fn an_engine_that_may_not_be_used_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("docker.sock");
    let _listener = UnixListener::bind(&path).expect("a socket");
    // The folder can be entered by anybody, the socket is its owner's.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("permissions");
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("permissions");
    // The binary itself has to be within reach of that user.
    let binary = folder.path().join("hemostat");
    std::fs::copy(env!("CARGO_BIN_EXE_hemostat"), &binary).expect("a copy");
    let mut command = std::process::Command::new(&binary);
    command.env_clear().env("DOCKER_HOST", format!("unix://{}", path.display())).arg("monitor");
    // nobody on Debian; only root can become somebody else.
    command.uid(65_534).gid(65_534).current_dir("/");
    let answer = run(&mut command);
    assert_eq!(answer.code, 3, "{}", answer.err);
    assert!(
        answer.err.contains("permission denied") && answer.err.contains("group `docker`"),
        "{}",
        answer.err
    );
}

#[test]
fn a_redis_that_is_not_there_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("unix://{}/redis.sock", folder.path().display());
    for command in [&["analyzer"][..], &["alert"], &["log"], &["status"], &["incidents"], &["doctor"]] {
        let answer = run(hemostat(command).env("HEMOSTAT_REDIS_URL", &url));
        assert_eq!(answer.code, 3, "{command:?}: {} {}", answer.out, answer.err);
    }
    let answer = run(hemostat(&["analyzer"]).env("HEMOSTAT_REDIS_URL", &url));
    assert!(answer.err.contains("redis.url"), "{}", answer.err);
}

#[test]
fn without_any_redis_the_operators_commands_say_where_it_could_come_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = run(hemostat(&["status"]).env("HEMOSTAT_DATA_DIR", folder.path()));
    assert_eq!(answer.code, 3, "{}", answer.err);
    assert!(
        answer.err.contains("HEMOSTAT_REDIS_URL") && answer.err.contains("hemostat up"),
        "{}",
        answer.err
    );
}

#[test]
fn up_without_a_redis_server_says_what_to_install() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = hemostat(&["up"]);
    command.env("HEMOSTAT_DATA_DIR", folder.path().join("data")).env("PATH", folder.path());
    let answer = run(&mut command);
    assert_eq!(answer.code, 3, "{}", answer.err);
    assert!(answer.err.contains("redis-server"), "{}", answer.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_may_throw_streams_away_is_refused() {
    let rig = Rig::start().await;
    rig.redis_says(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let answer = run(&mut rig.command(&["analyzer"]));
    assert_eq!(answer.code, 3, "{}", answer.err);
    assert!(answer.err.contains("noeviction"), "{}", answer.err);
}

#[test]
fn words_that_do_not_exist_get_a_suggestion() {
    for (args, hint) in [
        (&["log", "--type", "helth_alert"][..], "health_alert"),
        (&["incedents"], "incidents"),
        (&["--set", "responder.cooldwn=1h", "check-config"], "responder.cooldown"),
        (&["demo", "--only", "laek"], "leak"),
    ] {
        let answer = run(&mut hemostat(args));
        assert_eq!(answer.code, 2, "{args:?}: {}", answer.err);
        assert!(answer.err.contains(hint), "{args:?}: {}", answer.err);
    }
}

#[test]
fn a_health_check_of_nobody_fails() {
    let answer = run(&mut hemostat(&["healthcheck", "--address", "127.0.0.1:1"]));
    assert_eq!(answer.code, 3, "{}", answer.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_do_not_run_on_a_shadow() {
    let redis = hemostat_redis::testing::TestRedis::start().await.expect("a throw-away Redis");
    let settings = hemostat_redis::RedisSettings {
        url: redis.url(),
        namespace: "hemostat-shadow".to_owned(),
        partitions: None,
    };
    let shadow = hemostat_redis::RedisLog::shadow(settings).await.expect("it is new");
    let on_it = |word: &str| {
        let mut command = hemostat(&[word]);
        command.env("HEMOSTAT_REDIS_URL", redis.url()).env("HEMOSTAT_REDIS_NAMESPACE", "hemostat-shadow");
        run(&mut command)
    };
    for role in ["analyzer", "alert"] {
        let answer = on_it(role);
        assert_eq!(answer.code, 2, "{role}: {}", answer.err);
        assert!(answer.err.contains("is a shadow, which plays the past"), "{role}: {}", answer.err);
    }
    // What only reads takes it for the log that it is.
    assert_eq!(on_it("incidents").code, 0, "{}", on_it("incidents").err);
    assert!(hemostat_agent::log::EventLog::agents(&shadow).await.expect("it answers").is_empty());
}
