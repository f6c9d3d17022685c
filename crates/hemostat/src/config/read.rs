//! From texts to checked values.

use std::str::FromStr;
use std::time::Duration;

use hemostat_agent::janitor;
use hemostat_agent::telemetry::chain;
use hemostat_archive::PlaceError;
use hemostat_core::{detect, diagnose, labels, notify, remediate};
use hemostat_event::{Channel, HostName, Mode};
use hemostat_http::{SlackWebhook, Webhook};
use hemostat_redis::{Durability, DurabilitySettings, RedisSettings};

use super::source::{Origin, Values};
use super::{Agent, Alert, Archive, Config, Format, Listen, Logging, Metrics, Monitor, Redis, Secret};

/// Reads every value; what cannot be read is a problem and falls back to the default, so that one look finds all.
pub(super) fn read(values: Values, problems: &mut Vec<String>) -> Config {
    let mut reader = Reader { values: &values, problems };
    let monitor = monitor(&mut reader);
    let responder = responder(&mut reader, &monitor.detect);
    let alert = alert(&mut reader);
    let config = Config {
        host: reader.optional("host", |text| HostName::new(text).map_err(|error| error.to_string())),
        instance: reader.optional("instance", |text| Ok(text.to_owned())),
        data_dir: reader.optional("data_dir", |text| Ok(text.into())),
        log: Logging {
            // As the Python HemoStat calls them, too.
            level: reader.read("log.level", |text| match text.to_lowercase().as_str() {
                "warning" => Ok("warn".to_owned()),
                "critical" => Ok("error".to_owned()),
                level => Ok(level.to_owned()),
            }),
            format: reader.read("log.format", |text| match text.to_lowercase().as_str() {
                "auto" => Ok(Format::Auto),
                "text" => Ok(Format::Text),
                "json" => Ok(Format::Json),
                _ => Err("expected auto, text or json".to_owned()),
            }),
        },
        listen: listen(&mut reader),
        metrics: Metrics {
            listen: reader.optional("metrics.listen", |text| {
                text.parse().map_err(|_invalid| "expected address:port".to_owned())
            }),
            silence: reader.read("metrics.silence", |text| at_least(text, Duration::from_secs(5))),
        },
        redis: Redis {
            url: reader.optional("redis.url", redis_url),
            user: reader.optional("redis.user", |text| Ok(text.to_owned())),
            password: reader.optional("redis.password", |text| Ok(Secret::new(text.to_owned()))),
            ca_file: reader.optional("redis.ca_file", |text| Ok(text.into())),
            cert_file: reader.optional("redis.cert_file", |text| Ok(text.into())),
            key_file: reader.optional("redis.key_file", |text| Ok(text.into())),
            namespace: reader.read("redis.namespace", namespace),
            partitions: reader.optional("redis.partitions", |text| {
                in_range::<u16>(text, 1, 1_024).map_err(|error| error + " (partitions)")
            }),
        },
        retention: janitor::Settings {
            samples: reader.read("retention.samples", |text| at_least(text, Duration::from_secs(60))),
            events: reader.read("retention.events", |text| at_least(text, Duration::from_secs(60))),
            // A member gives a sign of life every minute.
            group_ttl: reader.read("retention.group_ttl", |text| at_least(text, Duration::from_secs(3_600))),
        },
        archive: Archive {
            url: reader
                .optional("archive.url", |text| text.parse().map_err(|error: PlaceError| error.to_string())),
            key_file: reader.optional("archive.key_file", |text| Ok(text.into())),
            settings: hemostat_archive::Settings {
                // A frame holds a quarter of a mebibyte; a segment is in memory as a whole.
                bytes: reader.read("archive.seal_bytes", |text| in_range(text, 65_536, 1 << 30)),
                age: reader.read("archive.seal_after", |text| at_least(text, Duration::from_millis(100))),
            },
            keep: hemostat_archive::Keep {
                samples: reader.optional("archive.keep.samples", keep),
                observations: reader.optional("archive.keep.observations", keep),
                decisions: reader.optional("archive.keep.decisions", keep),
            },
        },
        bridge: super::bridge::read(&mut reader),
        durability: DurabilitySettings {
            samples: reader.read("durability.samples", durability),
            observations: reader.read("durability.observations", durability),
            decisions: reader.read("durability.decisions", durability),
            replicas: reader.read("durability.replicas", |text| in_range(text, 1, 64)),
            timeout: reader.read("durability.timeout", |text| at_least(text, Duration::from_millis(1))),
        },
        docker_host: reader.optional("docker.host", |text| Ok(text.to_owned())),
        analyzer: diagnose::Settings {
            plan_ttl: reader.read("analyzer.plan_ttl", duration),
            ..diagnose::Settings::default()
        },
        agent: Agent {
            concurrency: reader.read("agent.concurrency", |text| in_range(text, 1, 1_024)),
            claim_after: reader.read("agent.claim_after", |text| at_least(text, Duration::from_secs(1))),
            attempts_max: reader.read("agent.attempts_max", |text| in_range(text, 1, 1_000)),
        },
        monitor,
        responder,
        alert,
        values: Values::new(),
    };
    Config { values: hide_secrets(values), ..config }
}

/// The values are kept to be shown, so what must not be shown is taken out.
fn hide_secrets(mut values: Values) -> Values {
    for (key, (text, _)) in &mut values {
        let secret = super::table::find(key).is_some_and(|setting| setting.secret);
        if secret && !text.is_empty() {
            "(hidden)".clone_into(text);
        }
    }
    values
}

fn monitor(reader: &mut Reader<'_>) -> Monitor {
    let defaults = detect::Settings::default();
    let mut levels =
        |key, usual: detect::Levels| usual.firing_at(reader.read(key, |text| in_range(text, 1.0, 100.0)));
    let cpu = levels("monitor.cpu_percent", defaults.cpu);
    let memory = levels("monitor.memory_percent", defaults.memory);
    let pids = levels("monitor.pids_percent", defaults.pids);
    let disk_bytes = reader
        .optional("monitor.disk_bytes", |text| Ok(detect::Levels::of_bytes(in_range(text, 1.0, f64::MAX)?)));
    let detect = detect::Settings {
        cpu,
        memory,
        pids,
        disk_bytes,
        clear_after: reader.read("monitor.clear_after", |text| in_range(text, 1, 1_000)),
        stable_for: reader.read("monitor.stable_for", duration),
        realert_after: reader.read("monitor.realert_after", duration),
        ..defaults
    };
    let found = detect.validate();
    reader.problems.extend(found.into_iter().map(|problem| format!("monitor: {problem}")));
    Monitor {
        interval: reader.read("monitor.interval", |text| at_least(text, Duration::from_millis(500))),
        disk_every: reader.read("monitor.disk_every", |text| in_range(text, 1, 100_000)),
        concurrency: reader.read("monitor.concurrency", |text| in_range(text, 1, 256)),
        exclude: reader.read("monitor.exclude", |text| Ok(words(text))),
        only: reader.read("monitor.only", |text| Ok(words(text))),
        labels: labels::PolicyDefaults { mode: reader.read("monitor.default_mode", mode) },
        detect,
    }
}

fn responder(reader: &mut Reader<'_>, detect: &detect::Settings) -> remediate::Policy {
    let defaults = remediate::Policy::default();
    let policy = remediate::Policy {
        cooldown: reader.read("responder.cooldown", duration),
        budget: reader.read("responder.budget", |text| in_range(text, 1, 64)),
        window: reader.read("responder.budget_window", duration),
        breaker: remediate::Breaker {
            failures: reader.read("responder.breaker_failures", |text| in_range(text, 1, 64)),
            open_for: reader.read("responder.breaker_open", duration),
            ..defaults.breaker
        },
        confidence_min: reader.read("responder.confidence_min", |text| in_range(text, 0.0, 1.0)),
        stabilise: reader.read("responder.stabilise", |text| at_least(text, Duration::from_secs(1))),
        // As sick as before is what would raise the alert again.
        still_sick: remediate::StillSick::from(detect),
        // An unreadable value is a problem; until it is corrected nothing is touched.
        dry_run: reader.read("responder.dry_run", boolean),
    };
    let found = policy.validate();
    reader.problems.extend(found.into_iter().map(|problem| format!("responder: {problem}")));
    policy
}

fn alert(reader: &mut Reader<'_>) -> Alert {
    let terminal = reader.read("alert.terminal", boolean);
    let slack_url = reader.optional("alert.slack_url", http_url);
    let webhook_url = reader.optional("alert.webhook_url", http_url);
    let webhook_secret = reader.optional("alert.webhook_secret", |text| Ok(Secret::new(text.to_owned())));
    if webhook_secret.is_some() && webhook_url.is_none() {
        reader.problems.push("alert.webhook_secret: there is no alert.webhook_url to sign for".to_owned());
    }
    // A channel that cannot be made would be found out when the first person is to be told.
    if let Some(url) = &slack_url
        && let Err(error) = SlackWebhook::new(url.reveal())
    {
        reader.problems.push(format!("alert.slack_url: {}", chain(&error)));
    }
    if let Some(url) = &webhook_url
        && let Err(error) = Webhook::new(url.reveal(), webhook_secret.as_ref().map(Secret::reveal))
    {
        reader.problems.push(format!("alert.webhook_url, alert.webhook_secret: {}", chain(&error)));
    }
    let channels = [
        (terminal, Channel::Terminal),
        (slack_url.is_some(), Channel::Slack),
        (webhook_url.is_some(), Channel::Webhook),
    ];
    Alert {
        enabled: reader.read("alert.enabled", boolean),
        terminal,
        slack_url,
        webhook_url,
        webhook_secret,
        attempts_max: reader.read("alert.attempts_max", |text| in_range(text, 1, 1_000)),
        notify: notify::Settings {
            channels: channels
                .into_iter()
                .filter_map(|(wanted, channel)| wanted.then_some(channel))
                .collect(),
            dedup_window: reader.read("alert.dedup_window", duration),
        },
    }
}

fn listen(reader: &mut Reader<'_>) -> Listen {
    let chosen = reader.values["http.listen"].1 != Origin::Default;
    reader.read("http.listen", |text| {
        if text == "off" {
            return Ok(Listen::Off);
        }
        let address = text.parse().map_err(|_invalid| "expected address:port, or off".to_owned())?;
        Ok(if chosen { Listen::At(address) } else { Listen::Preferably(address) })
    })
}

/// Reads texts and notes what is wrong with them.
pub(super) struct Reader<'a> {
    values: &'a Values,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    /// Reads a setting that always has a value.
    pub(super) fn read<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let (text, origin) = &self.values[key];
        match parse(text) {
            Ok(value) => value,
            Err(error) => {
                self.problems.push(describe(key, text, origin, &error));
                let default = super::table::find(key).expect("read by a key of the table").default;
                parse(default).expect("the default of every setting can be read")
            }
        }
    }

    /// Reads a setting that may be empty.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, origin) = &self.values[key];
        if text.is_empty() {
            return None;
        }
        parse(text).map_err(|error| self.problems.push(describe(key, text, origin, &error))).ok()
    }
}

fn describe(key: &str, text: &str, origin: &Origin, error: &str) -> String {
    let secret = super::table::find(key).is_some_and(|setting| setting.secret);
    let shown = if secret { "(hidden)".to_owned() } else { format!("`{text}`") };
    format!("{key} = {shown} ({origin}): {error}")
}

/// Reads `90s`, `5m`, `1h 30m`; a bare number is seconds, as in the Python HemoStat.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    humantime::parse_duration(text).map_err(|_invalid| "expected a duration such as 90s, 5m or 1h".to_owned())
}

/// How long the archive keeps something: nothing expires as soon as it is there.
fn keep(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_secs(1))
}

fn at_least(text: &str, least: Duration) -> Result<Duration, String> {
    let span = duration(text)?;
    if span < least {
        return Err(format!("must be at least {}", humantime::format_duration(least)));
    }
    Ok(span)
}

fn in_range<T: FromStr + PartialOrd + Copy + std::fmt::Display>(
    text: &str,
    least: T,
    most: T,
) -> Result<T, String> {
    let value: T = text.parse().map_err(|_invalid| "expected a number".to_owned())?;
    if least <= value && value <= most {
        Ok(value)
    } else {
        Err(format!("must be between {least} and {most}"))
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "none" => Ok(Durability::None),
        "replica" => Ok(Durability::Replica),
        "fsync" => Ok(Durability::Fsync),
        _ => Err("expected none, replica or fsync".to_owned()),
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "observe" => Ok(Mode::Observe),
        "suggest" => Ok(Mode::Suggest),
        "approve" => Ok(Mode::Approve),
        "auto" => Ok(Mode::Auto),
        _ => Err("expected observe, suggest, approve or auto".to_owned()),
    }
}

pub(super) fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(super) fn redis_url(text: &str) -> Result<Secret, String> {
    match RedisSettings::check_url(text) {
        Ok(()) => Ok(Secret::new(text.to_owned())),
        // Not the error itself: it may quote the password.
        Err(_unreadable) => Err("expected redis://host:port, rediss://host:port, unix:///path, \
             redis+sentinel://host:port,host:port/name or redis+cluster://host:port,host:port"
            .to_owned()),
    }
}

fn http_url(text: &str) -> Result<Secret, String> {
    let known = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    if known {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("expected an http:// or https:// address".to_owned())
    }
}

fn namespace(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if plain && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits, `-`, `_`, `.`".to_owned())
    }
}
