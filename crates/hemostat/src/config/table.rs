//! Every setting: its key, its variables, its default with the reason, and what it means.
//!
//! The table is the only place that names a setting. The file reader, the environment reader, the suggestions
//! for misspelt keys and the reference in the documentation all come from it.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Key in the file and of `--set`: `responder.cooldown`.
    pub key: &'static str,
    /// Variable of the Python HemoStat that means the same, where there was one.
    pub legacy: Option<&'static str>,
    /// What it means, with its unit.
    pub help: &'static str,
    /// The default as it would be written; empty where there is none.
    pub default: &'static str,
    /// Whether its value must not be shown, and may be given as `<key>_file`.
    pub secret: bool,
}

impl Setting {
    /// The environment variable: `HEMOSTAT_RESPONDER_COOLDOWN`.
    #[must_use]
    pub(crate) fn variable(&self) -> String {
        format!("HEMOSTAT_{}", self.key.replace('.', "_").to_uppercase())
    }
}

const fn plain(key: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { key, legacy: None, help, default, secret: false }
}

const fn legacy(key: &'static str, old: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { key, legacy: Some(old), help, default, secret: false }
}

const fn secret(key: &'static str, old: Option<&'static str>, help: &'static str) -> Setting {
    Setting { key, legacy: old, help, default: "", secret: true }
}

/// Every setting, in the order of the documentation.
pub(crate) const SETTINGS: &[Setting] = &[
    plain("host", "", "Name of this host in the log; the engine's own name when empty."),
    plain(
        "instance",
        "",
        "Name of this replica, unique among those that run; made from host and process when empty.",
    ),
    plain("data_dir", "", "Folder of the private Redis; below the user's data folder when empty."),
    legacy(
        "log.level",
        "LOG_LEVEL",
        "info",
        "Least level of log lines: error, warn, info, debug, trace, or a filter such as `hemostat_redis=debug`.",
    ),
    legacy(
        "log.format",
        "LOG_FORMAT",
        "auto",
        "Form of log lines: text, json, or auto (text on a terminal).",
    ),
    plain(
        "http.listen",
        "127.0.0.1:9090",
        "Address of health endpoints and /metrics; port 0 takes any free one, `off` opens none.",
    ),
    plain(
        "metrics.listen",
        "",
        "Address of the metrics exporter; `hemostat metrics` takes 0.0.0.0:9090 when empty, `up` exports only where it is set.",
    ),
    // Ten polls at the usual pace: a monitor that was started again has sampled everything long before.
    plain(
        "metrics.silence",
        "5m",
        "Silence after which a container has no metrics any more; at least three polls.",
    ),
    secret(
        "redis.url",
        None,
        "redis://[user:password@]host:port/db (rediss:// with TLS), unix:///path, redis+sentinel://host:port,host:port/name or redis+cluster://host:port,host:port; a private redis-server is started by `up` when empty.",
    ),
    plain("redis.user", "", "User of Redis, where the URL names none; see `hemostat acl`."),
    secret("redis.password", None, "Its password, where the URL has none."),
    plain("redis.ca_file", "", "Certificates that vouch for Redis, in PEM; the host's own when empty."),
    plain("redis.cert_file", "", "Certificate by which Redis knows this client, in PEM."),
    plain("redis.key_file", "", "Key of that certificate, in PEM."),
    plain("redis.namespace", "hemostat", "First part of every key."),
    plain(
        "redis.partitions",
        "",
        "Partitions of a new log; fixed at its creation (1 when empty, 16 on a cluster).",
    ),
    plain(
        "retention.samples",
        "24h",
        "Age at which samples are trimmed from the log; a million of them stay at most.",
    ),
    plain(
        "retention.events",
        "30d",
        "Age at which other events may be trimmed; they stay until every group has dealt with them.",
    ),
    plain(
        "retention.group_ttl",
        "7d",
        "Time without a member after which a group keeps no events any more; at least 1h.",
    ),
    plain(
        "archive.url",
        "",
        "The archive: a folder (a path or file:///…) or a bucket (s3://bucket/folder, gs://…, az://…) with credentials from AWS_…, GOOGLE_…, AZURE_…; `up` archives where it is set, `archiver` takes `archive` in data_dir when empty.",
    ),
    plain(
        "archive.key_file",
        "",
        "Private key that seals the archive, in PEM; made when it is not there, `archive.key` in data_dir when empty.",
    ),
    // A megabyte of memory per megabyte of segment; eight are read in a tenth of a second.
    plain("archive.seal_bytes", "8388608", "Size at which a segment is closed, in bytes."),
    // What is not sealed is lost with Redis.
    plain("archive.seal_after", "10s", "Age at which a segment is closed."),
    // What has expired cannot be brought back, so nothing does unless somebody said so.
    plain(
        "archive.keep.samples",
        "",
        "Age at which samples expire in the archive: only their digests stay; kept for ever when empty.",
    ),
    plain("archive.keep.observations", "", "The same for changes, alerts and recoveries."),
    plain(
        "archive.keep.decisions",
        "",
        "The same for diagnoses, plans, actions, notifications and dead letters; orders of people are kept for ever.",
    ),
    plain(
        "bridge.enabled",
        "false",
        "Whether `up` runs the bridge to the Python HemoStat; `bridge` runs it anyway.",
    ),
    plain(
        "bridge.channels",
        "health_alert,remediation_needed,remediation_complete,false_alarm",
        "Channels on which the bridge says what is in the log, separated by commas, or none.",
    ),
    plain(
        "bridge.keys",
        "monitor,analyzer,responder,alert",
        "Python agents whose keys the bridge writes for those who read them, separated by commas, or none.",
    ),
    // Whoever reaches the Redis can say anything there.
    plain(
        "bridge.inbound",
        "",
        "Channels on which the bridge listens: what is said there becomes an event, as a suggestion, and never `exec`.",
    ),
    secret("bridge.redis_url", None, "The single Redis of the Python agents; that of the log when empty."),
    // A name that no engine has: what is suggested for it is seen, and carried out by nobody.
    plain("bridge.host", "python", "Host that the messages of the Python agents are about, which name none."),
    plain(
        "durability.samples",
        "none",
        "When a sample counts as written: none (the primary has it), replica (replicas have it), fsync (on the disk).",
    ),
    plain(
        "durability.observations",
        "none",
        "The same for changes, alerts and recoveries: none, replica, fsync.",
    ),
    plain(
        "durability.decisions",
        "none",
        "The same for decisions and intents, on which nobody acts before: none, replica, fsync.",
    ),
    plain("durability.replicas", "1", "Replicas that must have a write, where that is asked for."),
    // A replica in the same data centre answers in a millisecond; a busy disk may take several hundred.
    plain("durability.timeout", "1s", "Longest wait for replicas or the disk before a write is tried again."),
    legacy(
        "docker.host",
        "DOCKER_HOST",
        "",
        "Container engine: unix:///path or tcp://host:port; the usual sockets are tried when empty.",
    ),
    // As in the Python HemoStat, so that existing thresholds keep their meaning; engine events do not wait for it.
    legacy("monitor.interval", "AGENT_POLL_INTERVAL", "30s", "Time between two polls."),
    plain(
        "monitor.disk_every",
        "10",
        "Polls between two measurements of writable layers, which are costly for the engine.",
    ),
    // Docker answers a request for counters after up to a second, and waits meanwhile: this is not bound to processors.
    plain("monitor.concurrency", "64", "Engine requests at a time."),
    legacy(
        "monitor.exclude",
        "MONITOR_CONTAINER_BLACKLIST",
        "",
        "Names of containers that are not watched, separated by commas; `*` stands for any text.",
    ),
    plain(
        "monitor.only",
        "",
        "Names of the only containers that are watched, in the same form; all when empty.",
    ),
    plain(
        "monitor.default_mode",
        "observe",
        "Mode of containers without a hemostat label: observe, suggest, approve, auto.",
    ),
    legacy(
        "monitor.cpu_percent",
        "THRESHOLD_CPU_PERCENT",
        "85",
        "CPU level that fires, in percent of what the container may use; clears 10 points lower.",
    ),
    legacy(
        "monitor.memory_percent",
        "THRESHOLD_MEMORY_PERCENT",
        "80",
        "Memory level that fires, in percent of the limit; clears 10 points lower.",
    ),
    plain(
        "monitor.pids_percent",
        "90",
        "Process level that fires, in percent of the PID limit; clears 10 points lower.",
    ),
    plain("monitor.disk_bytes", "", "Size of the writable layer that fires, in bytes; none when empty."),
    plain("monitor.clear_after", "5", "Samples in a row below the clear level that end a symptom."),
    plain("monitor.stable_for", "60s", "How long a container that died must run before its symptom ends."),
    plain(
        "monitor.realert_after",
        "10m",
        "Time before an alert that changed nothing is repeated; doubles up to 2 h.",
    ),
    plain("analyzer.plan_ttl", "5m", "How long a plan stays valid."),
    legacy(
        "responder.confidence_min",
        "ANALYZER_CONFIDENCE_THRESHOLD",
        "0.7",
        "Least confidence of a plan that is carried out, 0 to 1.",
    ),
    // One hour and three per hour: the Python HemoStat's values, which operators know.
    legacy(
        "responder.cooldown",
        "RESPONDER_COOLDOWN_SECONDS",
        "1h",
        "Least time between two actions on a container.",
    ),
    legacy(
        "responder.budget",
        "RESPONDER_MAX_RETRIES_PER_HOUR",
        "3",
        "Most actions on a container within the window.",
    ),
    plain("responder.budget_window", "1h", "The window of the budget."),
    plain("responder.breaker_failures", "3", "Actions in a row that did not help and open the breaker."),
    plain(
        "responder.breaker_open",
        "2h",
        "How long an open breaker forbids actions, at least twice the cooldown; doubles with every failed probe up to 6 h.",
    ),
    plain("responder.stabilise", "60s", "Time between an action and its verification."),
    legacy(
        "responder.dry_run",
        "RESPONDER_DRY_RUN",
        "false",
        "Decide and record, but do not touch any container.",
    ),
    legacy("alert.enabled", "ALERT_ENABLED", "true", "Whether people are told at all."),
    plain("alert.terminal", "true", "Whether notifications are written to standard output."),
    secret("alert.slack_url", Some("SLACK_WEBHOOK_URL"), "Slack incoming webhook."),
    secret("alert.webhook_url", None, "Generic webhook; receives CloudEvents JSON."),
    secret("alert.webhook_secret", None, "Key of the webhook's HMAC-SHA256 signature."),
    legacy(
        "alert.dedup_window",
        "ALERT_DEDUPE_TTL",
        "5m",
        "Time within which the same news of a container is told once.",
    ),
    plain("alert.attempts_max", "10", "Tries before a notification becomes a dead letter."),
    plain("agent.concurrency", "16", "Inputs dealt with at a time by one replica."),
    plain(
        "agent.claim_after",
        "30s",
        "Time without a sign of life after which a replica's inputs are taken over.",
    ),
    legacy("agent.attempts_max", "AGENT_RETRY_MAX", "5", "Tries before an input becomes a dead letter."),
];

/// The setting with this key.
#[must_use]
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The key nearest to a misspelt one, when any is near.
#[must_use]
pub(crate) fn nearest(key: &str) -> Option<&'static str> {
    let distance = |setting: &&Setting| strsim::damerau_levenshtein(setting.key, key);
    let best = SETTINGS.iter().min_by_key(distance)?;
    (distance(&best) <= 3).then_some(best.key)
}
