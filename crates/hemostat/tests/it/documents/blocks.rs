//! The blocks of commands in README and docs are run.
//!
//! Behind the language a block says where:
//!
//! | mark | is run |
//! |---|---|
//! | `sh run`, `sh run NAME` | by `scripts/check-compose.sh` on a real engine, line by line: `documented FILE NAME` |
//! | `sh run log` | here: on a Redis with a log in which a real container was healed, and its archive, while agents run |
//! | `sh run archive` | here: with that archive, and a Redis that holds nothing |
//! | `sh` | not; it stands in [`NOT_RUN`] with the reason |
//!
//! Each block has a Redis, an archive and a folder of its own, so none depends on what another did. A document names
//! made-up ids, times and places; [`World::words`] has what stands for them here. A command that goes on, such as
//! `hemostat up`, is asked to end after three seconds, and has to end well.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hemostat_docker::testing::Lab;
use hemostat_event::{Event, EventType, Timestamp};
use hemostat_redis::testing::TestRedis;
use tempfile::TempDir;

use super::markdown::{Block, documents, root};
use crate::archiving::with_archive;
use crate::healing::{CRASH_ONCE, enabled, up_command, verified};
use crate::restoring::{AOF, copy};
use crate::rig::{LIMIT, Process, Rig, about, example, hemostat, hemostat_replay, replay_program, run};

/// Blocks that are not run as they stand, by document and first line, and why.
const NOT_RUN: [(&str, &str, &str); 6] = [
    (
        "README.md",
        "./scripts/quickstart.sh      # installs what is missing (asks first; --yes does not), builds, runs `hemostat up --demo`",
        "scripts/check-quickstart.sh gives the first an end; the second runs this test",
    ),
    (
        "docs/actions.md",
        "cargo test -p hemostat-event -p hemostat-core -p hemostat-agent",
        "these are the tests themselves; scripts/test-all.sh runs chaos.sh too",
    ),
    (
        "docs/quickstart.md",
        "docker build -t hemostat .       # with a registry in reach",
        "there is no registry; scripts/check-compose.sh makes the image by scripts/image.sh",
    ),
    (
        "docs/quickstart.md",
        "docker compose --profile monitoring up -d",
        "there is no image of Grafana; scripts/check-compose.sh starts prometheus alone",
    ),
    (
        "docs/quickstart.md",
        "docker compose --profile demo --profile monitoring down --volumes",
        "scripts/check-compose.sh ends with it, and looks whether anything is left",
    ),
    (
        "docs/deploy.md",
        "docker compose up -d --scale analyzer=2 analyzer",
        "scripts/bench-compose.sh does it with 1, 2 and 4 of them",
    ),
];

/// What is called `hemostat` in a block: what goes on until it is told to end has three seconds (`--foreground`: the
/// signal comes once), and the demo, which `demo.rs` runs as a whole, has one container.
const HEMOSTAT: &str = r#"#!/bin/sh
case "$1" in
up | monitor | analyzer | responder | alert | archiver | metrics | bridge) goes_on=yes ;;
demo) set -- "$@" --only crash ;;
esac
case " $* " in *" --follow "*) goes_on=yes ;; esac
[ -z "${goes_on:-}" ] || exec timeout --foreground --preserve-status --kill-after 20 3 PROGRAM "$@"
exec PROGRAM "$@"
"#;
/// What is called `hemostat-replay`. The log was made in a hurry: rules that look at it have to know.
const REPLAY: &str = r#"#!/bin/sh
case "$1 $* " in
*" --file "*) ;;
test\ * | what-if\ * | rebuild\ * | restore\ *) set -- "$@" --set responder.stabilise=2s ;;
esac
exec PROGRAM "$@"
"#;
/// What is called `cargo`: an example that was built is run for three seconds.
const CARGO: &str = r#"#!/bin/sh
[ "$1 $2 $3 $4" = "run -p hemostat --example" ] || exit 127
exec timeout --foreground --preserve-status --signal INT --kill-after 20 3 "PROGRAM/$5"
"#;
/// The host of the log, as [`up_command`] names it.
const HOST: &str = "test-host";
/// A recording of the incident, under the name that the documents give it.
const RECORDING: &str = "incident.hsrec";
/// Longest time for a block on a loaded machine.
const BLOCK_MAX: Duration = Duration::from_secs(180);

#[test]
fn every_block_says_where_it_is_run() {
    let checks = std::fs::read_to_string(root().join("scripts/check-compose.sh")).expect("it can be read");
    let mut excused = BTreeSet::new();
    for block in documents().into_iter().flat_map(|document| document.blocks) {
        let place = block.place();
        match &*block.info {
            "sh run log" | "sh run archive" => {}
            mark if mark.starts_with("sh run") => {
                let runs = format!("documented {}{}", block.file, mark.trim_start_matches("sh run"));
                assert!(checks.lines().any(|line| line.trim() == runs), "{place}: no `{runs}`");
            }
            "sh" => {
                let first = block.text.lines().next().unwrap_or_default();
                let reason = NOT_RUN.iter().position(|(file, line, _)| *file == block.file && *line == first);
                excused.insert(reason.unwrap_or_else(|| panic!("{place} is not run, and nothing says why")));
            }
            // Nothing to run.
            "toml" | "json" | "text" | "rust" | "" => {}
            other => panic!("{place}: `{other}` is no mark"),
        }
    }
    for (index, (file, line, _)) in NOT_RUN.iter().enumerate() {
        assert!(excused.contains(&index), "{file} has no such block any more: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blocks_that_need_a_log_or_an_archive_do_what_they_say() {
    let _engine = crate::rig::ENGINE.lock().await;
    let lab = Lab::start().await.expect("a container engine");
    let world = World::make(&lab).await;
    let mut failed = Vec::new();
    let mut count = 0;
    for block in documents().into_iter().flat_map(|document| document.blocks) {
        let with_log = match &*block.info {
            "sh run log" => true,
            "sh run archive" => false,
            _ => continue,
        };
        count += 1;
        if let Err(said) = world.run(&block, with_log).await {
            failed.push(format!("{}\n{said}", block.place()));
        }
    }
    lab.cleanup().await.expect("the lab is cleaned up");
    assert!(8 <= count, "the documents were read: {count}");
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// A log with its archive, and what in it stands for the names in the documents.
struct World {
    /// The archive, its keys, a recording, and the files of Redis.
    folder: TempDir,
    words: Vec<(&'static str, String)>,
}

impl World {
    /// Lets a container be healed.
    async fn make(lab: &Lab) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut rig = Rig::start().await;
        let mut hemostat = Process::start(with_archive(&mut up_command(&rig), &folder));
        lab.run("web", CRASH_ONCE, enabled).await.expect("a container");
        let name = lab.container_name("web");
        let events = rig.until("healing", LIMIT, |events| verified(events, &name)).await;
        // It ends when the archive has everything.
        assert_eq!(hemostat.terminate().0, Some(0), "{:#?}", hemostat.said());
        let story = about(&events, &name);
        let words = words(&story, &name);
        let incident = &words.iter().find(|(word, _)| *word == "3f2a").expect("it is there").1;
        let recorded = run(hemostat_replay(&["record", "--incident", incident, "--redis", &rig.redis.url()])
            .arg("--to")
            .arg(folder.path().join(RECORDING)));
        assert_eq!(recorded.code, 0, "{}", recorded.err);
        rig.redis.stop().await.expect("it ends");
        copy(&rig.redis.folder().join(AOF), &folder.path().join(AOF));
        Self { folder, words }
    }

    /// Runs a block as a shell does; what it said where it fails.
    async fn run(&self, block: &Block, with_log: bool) -> Result<(), String> {
        let mut redis = TestRedis::start_durable().await.expect("a redis-server");
        if with_log {
            redis.stop().await.expect("it ends");
            copy(&self.folder.path().join(AOF), &redis.folder().join(AOF));
            redis.start_again().await.expect("it starts");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path();
        self.furnish(here);
        // Unless it makes one.
        if !block.text.contains(&format!("--to {RECORDING}")) {
            std::fs::copy(self.folder.path().join(RECORDING), here.join(RECORDING))
                .expect("it can be copied");
        }
        let _agents = with_log.then(|| Self::agents(&redis, here));
        let archive = here.join("archive");
        let mut text = block.text.clone();
        let places = [
            ("redis://127.0.0.1:6379/0", redis.url()),
            ("redis://127.0.0.1:6379", redis.url()),
            ("redis://redis:6379/0", redis.url()),
            ("/var/lib/hemostat/archive", archive.display().to_string()),
        ];
        for (word, stands_for) in places.iter().chain(&self.words) {
            text = text.replace(word, stands_for);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("timeout");
        shell
            .arg(BLOCK_MAX.as_secs().to_string())
            .args(["bash", "-euxo", "pipefail", "-c", &format!("{text}\nwait")])
            .current_dir(here)
            .env_clear()
            .env("PATH", format!("{}:{path}", here.join("bin").display()))
            .env("HEMOSTAT_HOST", HOST)
            .env("HEMOSTAT_REDIS_URL", redis.url())
            .env("HEMOSTAT_ARCHIVE_URL", &archive)
            .env("HEMOSTAT_ARCHIVE_KEY_FILE", here.join("archive.key"))
            .env("HEMOSTAT_DATA_DIR", here)
            .env("HEMOSTAT_HTTP_LISTEN", "127.0.0.1:0")
            .env("HEMOSTAT_METRICS_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null());
        for name in ["DOCKER_HOST", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                shell.env(name, value);
            }
        }
        let answer = tokio::task::spawn_blocking(move || run(&mut shell)).await.expect("it runs");
        if answer.code == 0 {
            Ok(())
        } else {
            Err(format!("exit {}\n{}{}", answer.code, answer.out, answer.err))
        }
    }

    /// Agents on a log, once `hemostat status` finds all of them.
    fn agents(redis: &TestRedis, here: &Path) -> Process {
        let on = |arguments: &[&str]| {
            let mut command = hemostat(arguments);
            command
                .env("HEMOSTAT_HOST", HOST)
                .env("HEMOSTAT_REDIS_URL", redis.url())
                .env("HEMOSTAT_ARCHIVE_URL", here.join("archive"))
                .env("HEMOSTAT_ARCHIVE_KEY_FILE", here.join("archive.key"));
            command
        };
        // The demo has agents of its own.
        let agents = Process::start(on(&["up"]).env("HEMOSTAT_MONITOR_EXCLUDE", "hemostat-demo-*"));
        let began = Instant::now();
        while run(&mut on(&["status"])).code != 0 {
            assert!(began.elapsed() < LIMIT, "{:#?}", agents.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        agents
    }

    /// Puts into a folder what the commands of the documents find there.
    fn furnish(&self, here: &Path) {
        let made = |result: std::io::Result<()>| result.expect("it can be made");
        let copied = Command::new("cp")
            .arg("-a")
            .args(["archive", "archive.key", "archive.key.pub"].map(|name| self.folder.path().join(name)))
            .arg(here)
            .status();
        assert!(copied.expect("cp runs").success());
        made(std::fs::write(here.join("password"), "correct horse battery staple\n"));
        made(symlink(root().join("replay").canonicalize().expect("it is there"), here.join("replay")));
        made(std::fs::create_dir(here.join("bin")));
        made(std::fs::create_dir(here.join("elsewhere")));
        let examples = ["count_alerts", "logbook"].map(example);
        let programs = [
            ("hemostat", HEMOSTAT, PathBuf::from(env!("CARGO_BIN_EXE_hemostat"))),
            ("hemostat-replay", REPLAY, replay_program()),
            ("cargo", CARGO, examples[0].with_file_name("")),
        ];
        for (name, script, program) in programs {
            let script = script.replace("PROGRAM", program.to_str().expect("a path is plain text"));
            let program = here.join("bin").join(name);
            made(std::fs::write(&program, script));
            made(std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)));
        }
    }
}

/// What stands for the names in the documents.
fn words(story: &[&Event], name: &str) -> Vec<(&'static str, String)> {
    let alert = story.iter().find(|event| event.event_type() == EventType::HealthAlert).expect("an alert");
    let done = |event: &&&Event| event.event_type() == EventType::RemediationComplete;
    let done = story.iter().find(done).expect("an outcome");
    let (first, last) = (story[0].envelope.time, story[story.len() - 1].envelope.time);
    let incident = alert.envelope.incident.expect("an alert is of an incident");
    let subject = alert.envelope.subject.as_ref().expect("an alert is about a container");
    let time = |time: Timestamp| time.to_string();
    let minute = Duration::from_secs(60);
    vec![
        // The longer before those they begin with.
        ("3f2a9c01", alert.envelope.id.to_string()),
        ("3f2a", incident.to_string()),
        ("host-1/web", subject.as_str().to_owned()),
        ("h1/web", subject.as_str().to_owned()),
        ("--container web", format!("--container {name}")),
        ("2026-11-24T05:00:00Z", time(first - minute)),
        ("2026-11-24T06:00:00Z", time(last)),
        ("2026-11-24T06:10:03Z", time(done.envelope.time)),
        ("2026-11-24T06:20:00Z", time(last)),
        ("/mnt/elsewhere", "elsewhere".to_owned()),
    ]
}
