//! What the configuration promises.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::source::Given;
use super::table::SETTINGS;
use super::{Config, ConfigError, Format, Listen};

fn read(flags: &[&str], environment: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::read(&Given {
        flags: &flags,
        file: (!file.is_empty()).then(|| (PathBuf::from("hemostat.toml"), file.to_owned())),
        environment: Some(&|name| environment.get(name).cloned()),
        environment_names: environment.keys().cloned().collect(),
        read_file: Some(&|path| match path {
            "/run/secrets/slack" => Ok("https://hooks.example/x\n".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        }),
    })
}

fn problems(flags: &[&str], environment: &[(&str, &str)], file: &str) -> Vec<String> {
    read(flags, environment, file).expect_err("the configuration is wrong").0
}

#[test]
fn the_defaults_are_a_valid_configuration() {
    let config = read(&[], &[], "").expect("the defaults are valid");
    assert_eq!(config.responder.cooldown, Duration::from_secs(3_600));
    assert_eq!(config.responder.budget, 3);
    assert!(matches!(config.listen, Listen::Preferably(_)));
    assert!(config.redis.url.is_none());
    // One Redis without replicas is what most begin with.
    assert_eq!(config.durability, hemostat_redis::DurabilitySettings::default());
    assert_eq!(config.retention, hemostat_agent::janitor::Settings::default());
    assert_eq!(config.archive.settings, hemostat_archive::Settings::default());
    assert!(config.archive.url.is_none(), "nothing is archived unless somebody says where");
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let file = "[responder]\ncooldown = \"2h\"\n";
    let environment = [("HEMOSTAT_RESPONDER_COOLDOWN", "3h")];
    let hours = |config: Config| config.responder.cooldown.as_secs() / 3_600;
    assert_eq!(hours(read(&[], &[], "").unwrap()), 1);
    assert_eq!(hours(read(&[], &[], file).unwrap()), 2);
    assert_eq!(hours(read(&[], &environment, file).unwrap()), 3);
    assert_eq!(hours(read(&["responder.cooldown=4h"], &environment, file).unwrap()), 4);
}

#[test]
fn variables_of_the_python_hemostat_keep_their_meaning() {
    let config = read(
        &[],
        &[
            ("REDIS_HOST", "redis"),
            ("REDIS_PASSWORD", "p@ss/word"),
            ("AGENT_POLL_INTERVAL", "15"),
            ("THRESHOLD_CPU_PERCENT", "70"),
            ("RESPONDER_COOLDOWN_SECONDS", "120"),
            ("SLACK_WEBHOOK_URL", ""),
            ("LOG_LEVEL", "WARNING"),
            ("LOG_FORMAT", "JSON"),
        ],
        "",
    )
    .expect("these are valid");
    assert_eq!(config.redis.url.expect("a URL").reveal(), "redis://:p%40ss%2Fword@redis:6379/0");
    assert_eq!(config.monitor.interval, Duration::from_secs(15));
    assert!((config.monitor.detect.cpu.fire - 70.0).abs() < f64::EPSILON);
    assert_eq!(config.responder.cooldown, Duration::from_secs(120));
    assert!(config.alert.slack_url.is_none(), "an empty variable says nothing");
    assert_eq!((config.log.level.as_str(), config.log.format), ("warn", Format::Json));
}

#[test]
fn a_setting_whose_name_ends_in_file_has_a_variable_too() {
    let environment =
        [("HEMOSTAT_ARCHIVE_KEY_FILE", "/keys/archive"), ("HEMOSTAT_REDIS_CA_FILE", "/keys/ca.pem")];
    let config = read(&[], &environment, "").expect("these are settings");
    assert_eq!(config.archive.key_file, Some(PathBuf::from("/keys/archive")));
    assert_eq!(config.redis.ca_file, Some(PathBuf::from("/keys/ca.pem")));
}

#[test]
fn a_new_name_beats_its_old_one() {
    let environment = [("RESPONDER_COOLDOWN_SECONDS", "120"), ("HEMOSTAT_RESPONDER_COOLDOWN", "60s")];
    assert_eq!(read(&[], &environment, "").unwrap().responder.cooldown, Duration::from_secs(60));
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems(
        &["responder.budget=0", "nonsense"],
        &[("HEMOSTAT_RESPONDER_COOLDWON", "1h"), ("HEMOSTAT_LOG_FORMAT", "xml")],
        "[monitor]\nintervall = \"10s\"\n[redis]\nurl = \"http://redis\"\n",
    );
    let all = found.join("\n");
    for expected in [
        "responder.budget = `0` (--set): must be between 1 and 64",
        "--set nonsense: expected key=value",
        "HEMOSTAT_RESPONDER_COOLDWON: no such setting; did you mean `HEMOSTAT_RESPONDER_COOLDOWN`?",
        "log.format = `xml` (HEMOSTAT_LOG_FORMAT): expected auto, text or json",
        "hemostat.toml: no setting `monitor.intervall`; did you mean `monitor.interval`?",
        "redis.url = (hidden) (hemostat.toml): expected redis://host:port, rediss://host:port, unix:///path",
    ] {
        assert!(all.contains(expected), "missing: {expected}\nin:\n{all}");
    }
    assert_eq!(found.len(), 6);
}

#[test]
fn every_address_that_the_log_understands_is_taken() {
    for url in [
        "redis://h:6379/3",
        "rediss://u:p@h",
        "unix:///run/redis.sock",
        "redis+sentinel://a:26379,b/primary/2",
        "rediss+sentinel://u:p@a,b/primary",
        "redis+cluster://a:6379,b:6380",
        "rediss+cluster://u:p@a,b",
    ] {
        let url_set = format!("redis.url={url}");
        assert_eq!(read(&[&url_set], &[], "").unwrap().redis.url.expect("a URL").reveal(), url);
    }
    for wrong in ["redis://h:99999", "redis://h/abc", "redis+sentinel://a,b", "redis+cluster://a/3", "a:6379"]
    {
        assert_eq!(problems(&[&format!("redis.url={wrong}")], &[], "").len(), 1, "{wrong}");
    }
}

#[test]
fn a_channel_that_cannot_be_made_is_a_problem() {
    for (wrong, expected) in [
        (&["alert.webhook_url=http://"][..], "alert.webhook_url"),
        (&["alert.webhook_url=http://hook", "alert.webhook_secret=whsec_not base64"], "alert.webhook_secret"),
        (&["alert.slack_url=https://"], "alert.slack_url"),
    ] {
        let found = problems(wrong, &[], "");
        assert!(found.len() == 1 && found[0].contains(expected), "{wrong:?}: {found:?}");
        assert!(!found[0].contains("not base64"), "no part of a secret is shown: {found:?}");
    }
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let config = read(&[], &[("HEMOSTAT_ALERT_SLACK_URL_FILE", "/run/secrets/slack")], "").expect("valid");
    assert_eq!(config.alert.slack_url.clone().expect("a URL").reveal(), "https://hooks.example/x");
    assert!(!format!("{:?}", config.alert).contains("hooks.example"));
    let found = problems(&[], &[("HEMOSTAT_ALERT_SLACK_URL_FILE", "/nowhere")], "");
    assert!(found[0].contains("cannot read `/nowhere`"), "{found:?}");
}

#[test]
fn a_broken_file_is_one_problem_that_names_the_place() {
    let found = problems(&[], &[], "[redis]\nurl = \"redis://u:hunter2@h:1\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("hemostat.toml, line 2: "), "{found:?}");
    assert!(!found[0].contains("hunter2"), "{found:?}");
}

#[test]
fn every_setting_has_a_unique_key_and_variable() {
    let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    let mut variables: Vec<_> = SETTINGS.iter().map(super::table::Setting::variable).collect();
    let count = SETTINGS.len();
    keys.sort_unstable();
    keys.dedup();
    variables.sort_unstable();
    variables.dedup();
    assert_eq!((keys.len(), variables.len()), (count, count));
}
