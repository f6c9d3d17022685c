//! What stands in the compose file, without an engine; `scripts/check-compose.sh` brings it up.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The services that may reach the container engine.
const ENGINE: [&str; 2] = ["monitor", "responder"];
/// Variables of the compose file itself and of Grafana, which no agent reads.
const OF_OTHERS: [&str; 2] = ["HEMOSTAT_IMAGE", "HEMOSTAT_PROMETHEUS_URL"];

#[test]
fn the_compose_file_is_valid_for_docker_compose() {
    let checked = Command::new("docker-compose")
        .args([
            "--env-file",
            ".env.example",
            "--profile",
            "demo",
            "--profile",
            "monitoring",
            "--profile",
            "bridge",
            "config",
            "--quiet",
        ])
        .env("DOCKER_GID", "1")
        .current_dir(root())
        .output()
        .expect("docker-compose is installed (apt-get install docker-compose)");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn every_agent_runs_a_command_that_there_is() {
    let mut seen = BTreeSet::new();
    for (name, service) in agents() {
        let command = service["command"][0].as_str().unwrap_or_else(|| panic!("{name} has a command"));
        // `workload` is hidden, and stands in the entry point of the demo's containers.
        let asked = hemostat(&[command, "--help"]);
        assert!(asked.status.success(), "{name}: there is no `hemostat {command}`");
        assert!(command == name || name == "operator", "{name}: a service is named after its command");
        seen.insert(name);
    }
    for agent in ["monitor", "analyzer", "responder", "alert", "archiver", "metrics", "bridge"] {
        assert!(seen.contains(agent), "{agent} is missing");
    }
}

#[test]
fn every_variable_is_a_setting() {
    let known = settings();
    let file = read("docker-compose.yml") + &read(".env.example");
    let variables: BTreeSet<_> = words(&file).filter(|word| word.starts_with("HEMOSTAT_")).collect();
    assert!(variables.contains("HEMOSTAT_REDIS_URL"), "the file was read");
    let unknown: Vec<_> =
        variables.iter().filter(|name| !OF_OTHERS.contains(name) && !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "no settings: {unknown:?}");
}

#[test]
fn every_variable_of_the_example_is_used() {
    let file = read("docker-compose.yml");
    let used: BTreeSet<_> = words(&file).collect();
    for line in read(".env.example").lines() {
        let line = line.trim_start_matches('#');
        let Some((name, _)) = line.split_once('=').filter(|(name, _)| !name.contains(' ')) else { continue };
        assert!(used.contains(name), "{name} does nothing");
    }
}

#[test]
fn only_monitor_and_responder_reach_the_engine() {
    for (name, service) in services() {
        let reaches = service["volumes"].to_string().contains("docker.sock");
        assert_eq!(reaches, ENGINE.contains(&name.as_str()), "{name}");
        assert!(service["privileged"].is_null(), "{name} is privileged");
    }
}

#[test]
fn every_service_has_a_user_of_its_own_on_redis() {
    let script = read("scripts/compose-secrets.sh");
    let made = script.lines().find_map(|line| line.strip_prefix("roles='")?.strip_suffix('\''));
    let made: BTreeSet<_> = made.expect("the script has its roles").split(' ').collect();
    let mut used = BTreeSet::new();
    let agents = agents();
    for (name, service) in &agents {
        let user = service["environment"]["HEMOSTAT_REDIS_USER"].as_str();
        assert_eq!(user, Some(format!("hemostat-{name}").as_str()), "{name}");
        assert_eq!(service["secrets"][0]["source"], format!("redis_{name}"), "{name}");
        used.insert(name.as_str());
    }
    assert_eq!(made, used, "who has a user, and who needs one");
}

#[test]
fn nobody_has_capabilities_or_a_root_to_write_to() {
    for (name, service) in services() {
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert!(service["cap_add"].is_null(), "{name}");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
        assert!(
            service["mem_limit"].is_string() && service["pids_limit"].is_number(),
            "{name} has no limits"
        );
        // The workloads of the demo count their starts in their writable layer.
        assert!(service["read_only"] == true || name.starts_with("demo-"), "{name} can write to its root");
    }
}

#[test]
fn nothing_stands_in_the_way_of_scaling() {
    for (name, service) in agents() {
        assert!(service["container_name"].is_null() && service["ports"].is_null(), "{name}");
    }
    assert!(service("redis")["ports"].is_null(), "Redis is published");
    for name in ["prometheus", "grafana"] {
        let ports = service(name)["ports"].to_string();
        assert!(ports.contains("127.0.0.1:"), "{name} is published to others: {ports}");
    }
}

#[test]
fn hemostat_does_not_heal_itself() {
    let dockerfile = read("Dockerfile");
    let stage = dockerfile.split("FROM scratch AS hemostat\n").nth(1).expect("the stage of the image");
    assert!(stage.contains("LABEL hemostat.enable=false"), "the image's label covers all agents");
    for name in ["redis", "prometheus", "grafana"] {
        assert_eq!(service(name)["labels"]["hemostat.enable"], "false", "{name}");
    }
}

#[test]
fn no_secret_stands_in_the_environment() {
    let secrets = ["PASSWORD", "ACL"];
    for (name, service) in services() {
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            if secrets.iter().any(|secret| variable.contains(secret)) {
                assert!(
                    variable.ends_with("_FILE")
                        && value.as_str().is_some_and(|path| path.starts_with("/run/secrets/")),
                    "{name}: {variable}"
                );
            }
        }
    }
}

/// All services with their names.
fn services() -> Vec<(String, Value)> {
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let read = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(std::fs::File::open(root().join("docker-compose.yml")).expect("the compose file is there"))
        .output()
        .expect("python3 is installed");
    let why = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "docker-compose.yml is not read (apt-get install docker-compose): {why}");
    let file: Value = serde_json::from_slice(&read.stdout).expect("python writes JSON");
    let services = file["services"].as_object().expect("there are services").clone();
    assert!(9 <= services.len(), "the services were read");
    services.into_iter().collect()
}

fn service(wanted: &str) -> Value {
    services().into_iter().find(|(name, _)| name == wanted).expect("the service is there").1
}

/// The services that run HemoStat, without the demo's sick ones.
fn agents() -> Vec<(String, Value)> {
    let ours =
        |service: &Value| service["image"].as_str().is_some_and(|image| image.contains("HEMOSTAT_IMAGE"));
    services().into_iter().filter(|(name, service)| ours(service) && !name.starts_with("demo-")).collect()
}

/// The variables of all settings, those that name a file with a secret among them.
fn settings() -> BTreeSet<String> {
    let asked = hemostat(&["check-config", "-o", "json"]);
    let lines = String::from_utf8(asked.stdout).expect("it is text");
    let mut known = BTreeSet::new();
    for line in lines.lines() {
        let setting: Value = serde_json::from_str(line).expect("a line is JSON");
        if let Some(variable) = setting["variable"].as_str() {
            known.insert(variable.to_owned());
            known.insert(format!("{variable}_FILE"));
        }
    }
    assert!(known.contains("HEMOSTAT_REDIS_PASSWORD"), "the settings were read: {lines}");
    known
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn hemostat(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_hemostat")).args(arguments).output().expect("hemostat starts")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
