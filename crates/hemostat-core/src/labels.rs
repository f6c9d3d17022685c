//! What a container allows, read from its labels.
//!
//! The default is to observe everything and to act only where a label allows it. A value that cannot be read is
//! reported and taken as the safer reading; it is never ignored in silence.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{ContainerPolicy, Mode};

/// What containers without a label allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyDefaults {
    /// How far HemoStat may go.
    pub mode: Mode,
}

impl Default for PolicyDefaults {
    fn default() -> Self {
        Self { mode: Mode::Observe }
    }
}

/// `true`: act on this container; `false`: leave it alone (it is still observed).
const ENABLE: &str = "hemostat.enable";
/// `observe`, `suggest`, `approve`, `auto`.
const MODE: &str = "hemostat.mode";
/// Time between SIGTERM and SIGKILL.
const STOP_TIMEOUT: &str = "hemostat.stop-timeout";
/// Least time between two actions.
const COOLDOWN: &str = "hemostat.cooldown";
/// Opt-in of willfarrell/docker-autoheal.
const AUTOHEAL: &str = "autoheal";
/// Its stop time-out, in seconds.
const AUTOHEAL_STOP_TIMEOUT: &str = "autoheal.stop.timeout";
/// Opt-in of qdm12/deunhealth.
const DEUNHEALTH: &str = "deunhealth.restart.on.unhealthy";
/// A one-off job of Compose (`docker compose run`).
const ONE_OFF: &str = "com.docker.compose.oneoff";
/// Containers that an orchestrator replaces itself; a restart behind its back leaves it with one too many
/// (moby/moby#33862).
const ORCHESTRATED: [(&str, &str); 2] =
    [("com.docker.swarm.task.id", "Swarm"), ("io.kubernetes.pod.uid", "Kubernetes")];

/// Reads what the labels allow.
///
/// `hemostat.enable=false` wins over everything: the container is observed and never acted on. Otherwise
/// `hemostat.mode` says how far; without it an opt-in (`hemostat.enable`, `autoheal`, `deunhealth…`) means
/// `auto`, and no label at all means the default. One-off jobs and the containers of an orchestrator are only
/// observed.
#[must_use]
pub fn container_policy(labels: &BTreeMap<String, String>, defaults: &PolicyDefaults) -> ContainerPolicy {
    let mut reader = Reader { labels, problems: Vec::new() };
    let enable = reader.boolean(ENABLE, false);
    let mode = reader.mode();
    let opted_in = reader.boolean(AUTOHEAL, false).or(reader.boolean(DEUNHEALTH, false)) == Some(true);
    let one_off = reader.boolean(ONE_OFF, true) == Some(true);
    let wanted = match (enable, mode) {
        (Some(false), _) => Mode::Observe,
        (_, Some(mode)) => mode,
        (Some(true), None) => Mode::Auto,
        (None, None) if opted_in => Mode::Auto,
        (None, None) => defaults.mode,
    };
    let mode = match reader.orchestrator() {
        Some(orchestrator) => {
            if wanted != Mode::Observe && (enable.is_some() || mode.is_some() || opted_in) {
                reader
                    .problems
                    .push(format!("{orchestrator} replaces its containers itself; taken as observe"));
            }
            Mode::Observe
        }
        None if one_off => Mode::Observe,
        None => wanted,
    };
    let stop_timeout_secs = reader
        .duration(STOP_TIMEOUT)
        .or_else(|| reader.duration(AUTOHEAL_STOP_TIMEOUT))
        .map(|timeout| u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX));
    let cooldown_secs = reader.duration(COOLDOWN).map(|cooldown| cooldown.as_secs());
    ContainerPolicy { mode, stop_timeout_secs, cooldown_secs, problems: reader.problems }
}

/// The Compose project, where there is one.
#[must_use]
pub fn compose_project(labels: &BTreeMap<String, String>) -> Option<String> {
    labels.get("com.docker.compose.project").cloned()
}

/// The Compose or Swarm service, where there is one.
#[must_use]
pub fn compose_service(labels: &BTreeMap<String, String>) -> Option<String> {
    let names = ["com.docker.compose.service", "com.docker.swarm.service.name"];
    names.iter().find_map(|name| labels.get(*name)).cloned()
}

struct Reader<'a> {
    labels: &'a BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn boolean(&mut self, label: &str, safer: bool) -> Option<bool> {
        let text = self.labels.get(label)?;
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => {
                self.problems.push(format!("{label}=`{text}` is not true or false; taken as {safer}"));
                Some(safer)
            }
        }
    }

    fn orchestrator(&self) -> Option<&'static str> {
        ORCHESTRATED.iter().find(|(label, _)| self.labels.contains_key(*label)).map(|(_, name)| *name)
    }

    fn mode(&mut self) -> Option<Mode> {
        let text = self.labels.get(MODE)?;
        match text.trim().to_ascii_lowercase().as_str() {
            "observe" => Some(Mode::Observe),
            "suggest" => Some(Mode::Suggest),
            "approve" => Some(Mode::Approve),
            "auto" => Some(Mode::Auto),
            _ => {
                self.problems.push(format!(
                    "{MODE}=`{text}` is not observe, suggest, approve or auto; taken as observe"
                ));
                Some(Mode::Observe)
            }
        }
    }

    fn duration(&mut self, label: &str) -> Option<Duration> {
        let text = self.labels.get(label)?;
        let read = duration(text);
        if read.is_none() {
            self.problems
                .push(format!("{label}=`{text}` is not a duration such as 30s or 5m; the default holds"));
        }
        read
    }
}

/// Reads `90`, `90s`, `5m`, `1h` or a row of them (`1h30m`); a bare number is seconds. At most 30 days.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return within_limit(seconds);
    }
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let seconds = match rest[digits..unit].trim() {
            "s" | "sec" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(seconds)?)?;
        rest = &rest[unit..];
    }
    if text.is_empty() { None } else { within_limit(total) }
}

fn within_limit(seconds: u64) -> Option<Duration> {
    (seconds <= 30 * 86_400).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(labels: &[(&str, &str)]) -> ContainerPolicy {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        container_policy(&labels, &PolicyDefaults::default())
    }

    #[test]
    fn the_mode_follows_the_labels() {
        for (labels, mode) in [
            (&[][..], Mode::Observe),
            (&[(ENABLE, "true")], Mode::Auto),
            (&[(ENABLE, "YES")], Mode::Auto),
            (&[(ENABLE, "1")], Mode::Auto),
            (&[(ENABLE, "False")], Mode::Observe),
            (&[(MODE, "suggest")], Mode::Suggest),
            (&[(ENABLE, "true"), (MODE, "approve")], Mode::Approve),
            (&[(ENABLE, "false"), (MODE, "auto")], Mode::Observe),
            (&[(AUTOHEAL, "true")], Mode::Auto),
            (&[(DEUNHEALTH, "true")], Mode::Auto),
            (&[(AUTOHEAL, "true"), (ENABLE, "false")], Mode::Observe),
            (&[(AUTOHEAL, "true"), (ONE_OFF, "True")], Mode::Observe),
        ] {
            assert_eq!(policy(labels).mode, mode, "{labels:?}");
        }
    }

    #[test]
    fn what_an_orchestrator_replaces_is_only_observed() {
        for label in ["com.docker.swarm.task.id", "io.kubernetes.pod.uid"] {
            let wanted = policy(&[(label, "x"), (MODE, "auto")]);
            assert_eq!((wanted.mode, wanted.problems.len()), (Mode::Observe, 1), "{label}");
            let plain = policy(&[(label, "x")]);
            assert_eq!((plain.mode, plain.problems.len()), (Mode::Observe, 0), "{label}");
            let labels = [(label.to_owned(), "x".to_owned())].into();
            assert_eq!(container_policy(&labels, &PolicyDefaults { mode: Mode::Auto }).mode, Mode::Observe);
        }
    }

    #[test]
    fn of_two_opt_ins_a_plain_no_counts() {
        assert_eq!(policy(&[(AUTOHEAL, "false"), (DEUNHEALTH, "true")]).mode, Mode::Observe);
    }

    #[test]
    fn project_and_service_come_from_compose_or_swarm() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let compose = labels(&[("com.docker.compose.project", "shop"), ("com.docker.compose.service", "db")]);
        assert_eq!(compose_project(&compose).as_deref(), Some("shop"));
        assert_eq!(compose_service(&compose).as_deref(), Some("db"));
        let swarm = labels(&[("com.docker.swarm.service.name", "web")]);
        assert_eq!((compose_project(&swarm), compose_service(&swarm).as_deref()), (None, Some("web")));
    }

    #[test]
    fn without_labels_the_default_holds() {
        let labels = BTreeMap::new();
        assert_eq!(container_policy(&labels, &PolicyDefaults { mode: Mode::Auto }).mode, Mode::Auto);
    }

    #[test]
    fn an_unreadable_value_is_reported_and_taken_as_the_safer_one() {
        for labels in [&[(ENABLE, "ture")][..], &[(MODE, "automatic")], &[(AUTOHEAL, "yep")]] {
            let policy = policy(labels);
            assert_eq!(policy.mode, Mode::Observe, "{labels:?}");
            assert_eq!(policy.problems.len(), 1, "{labels:?}");
        }
        let policy = policy(&[(ENABLE, "true"), (ONE_OFF, "maybe")]);
        assert_eq!(policy.mode, Mode::Observe, "what may be a one-off job is not healed");
    }

    #[test]
    fn times_are_read_in_the_usual_forms() {
        for (text, seconds) in [
            ("10", Some(10)),
            ("10s", Some(10)),
            ("5m", Some(300)),
            ("1h30m", Some(5_400)),
            ("2d", Some(172_800)),
            ("", None),
            ("-5s", None),
            ("5 parsecs", None),
            ("s", None),
            ("99999999999999999999", None),
            ("31d", None),
        ] {
            assert_eq!(duration(text).map(|span| span.as_secs()), seconds, "{text}");
        }
        assert_eq!(
            policy(&[(STOP_TIMEOUT, "20s"), (AUTOHEAL_STOP_TIMEOUT, "5")]).stop_timeout_secs,
            Some(20)
        );
        assert_eq!(policy(&[(AUTOHEAL_STOP_TIMEOUT, "5")]).stop_timeout_secs, Some(5));
        assert_eq!(policy(&[(COOLDOWN, "soon")]).problems.len(), 1);
    }
}
