//! From messages to events.
//!
//! Whoever can reach the Redis can say anything, under any name. So an alert or a request from outside is never more than
//! a suggestion, `exec` is refused whatever stands beside it, and everything has a limit. What cannot be read becomes a
//! dead letter that quotes it.
//!
//! The old messages name no host and, but for alerts, no id of a container. The host is a setting; the id is that of the
//! container's last alert, or [`UNKNOWN_ID`], which no container has.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hemostat_event::{
    ContainerId, ContainerRef, Data, DeadLetter, Envelope, Event, EventId, Evidence, FalseAlarm, Health,
    HealthAlert, HostName, IncidentId, Outcome, Plan, Rejection, RemediationComplete, RemediationNeeded,
    Role, RunState, Sample, Severity, Source, Subject, Timestamp,
};
use serde::Deserialize as _;
use serde_json::Value;

use super::OldChannel;
use super::spoken::{
    Alarm, Done, Heard, Request, TEXT_BYTES_MAX, Unhealthy, action_of, anomaly_of, asks_for_exec, confidence,
    cut, malformed, named, read, reference, suggestion, time_of, verdict,
};

/// Most bytes of a message. The largest old one, with every figure and anomaly, has two thousand.
pub const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// Most anomalies of an alert.
const ANOMALIES_MAX: usize = 32;
/// Containers whose id is remembered.
const IDS_MAX: usize = 4_096;
/// The id of a container of which only the name is known.
pub const UNKNOWN_ID: &str = "000000000000";
/// The old agents know no incidents: what is said of a container within so many microseconds is taken as one.
const INCIDENT_MICROS: i64 = 3_600_000_000;

/// How messages are taken.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host they are about.
    pub host: HostName,
    /// Who takes them.
    pub instance: String,
    /// How long a request stays valid.
    pub plan_ttl: Duration,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It asks for a command to be run inside a container.
    #[error("`exec` is never taken from outside")]
    Exec,
    /// It is longer than [`MESSAGE_BYTES_MAX`].
    #[error("{0} bytes are more than a message may have ({MESSAGE_BYTES_MAX})")]
    TooLarge(usize),
    /// It is not what its channel carries.
    #[error("not a message of this channel: {0}")]
    Malformed(String),
}

impl Refusal {
    /// The word used in metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Exec => "refused",
            Self::TooLarge(_) | Self::Malformed(_) => "malformed",
        }
    }
}

/// Makes events of messages.
#[derive(Debug, Clone)]
pub struct Inbound {
    settings: Settings,
    ids: BTreeMap<String, ContainerId>,
    order: VecDeque<String>,
}

impl Inbound {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ids: BTreeMap::new(), order: VecDeque::new() }
    }

    /// The event that a message tells of. `now` is the time at which it was heard.
    ///
    /// # Errors
    /// [`Refusal`]; [`Inbound::letter`] makes an event of it.
    pub fn hear(&mut self, channel: OldChannel, body: &[u8], now: Timestamp) -> Result<Event, Refusal> {
        if MESSAGE_BYTES_MAX < body.len() {
            return Err(Refusal::TooLarge(body.len()));
        }
        let heard: Heard = read(|| serde_json::from_slice(body))?;
        // Before anything else is looked at: nothing that is wrong beside it may hide it.
        if asks_for_exec(&heard.data) {
            return Err(Refusal::Exec);
        }
        if heard.event_type != channel.event_type() {
            return Err(malformed(format_args!(
                "its event_type is not `{}` but `{}`",
                channel.event_type(),
                cut(&heard.event_type, 64)
            )));
        }
        let time = time_of(&heard.timestamp)?.min(now);
        let id = EventId::heard(channel.name(), body);
        let data = match channel {
            OldChannel::HealthAlert => self.unhealthy(read(|| Unhealthy::deserialize(&heard.data))?, time)?,
            OldChannel::RemediationNeeded => {
                self.request(&read(|| Request::deserialize(&heard.data))?, time)?
            }
            OldChannel::RemediationComplete => self.done(read(|| Done::deserialize(&heard.data))?, id)?,
            OldChannel::FalseAlarm => self.alarm(&read(|| Alarm::deserialize(&heard.data))?)?,
        };
        let container = data.container().expect("what an old message tells of is a container");
        let host = self.settings.host.clone();
        let subject = Subject::new(&host, &container.name).map_err(malformed)?;
        let opened = Timestamp::from_micros(time.micros() / INCIDENT_MICROS * INCIDENT_MICROS);
        let incident = Some(IncidentId::opened(&subject, opened));
        Ok(Event { envelope: self.envelope(id, time, Some(subject), incident), data })
    }

    /// The dead letter about a message that was not taken.
    #[must_use]
    pub fn letter(&self, channel: OldChannel, body: &[u8], refusal: &Refusal, now: Timestamp) -> Event {
        let heard = EventId::heard(channel.name(), body);
        let quoted = &body[..body.len().min(MESSAGE_BYTES_MAX)];
        let letter = DeadLetter {
            stream: format!("pubsub:{}", channel.name()),
            entry: heard.to_string(),
            group: Role::Bridge,
            event: None,
            incident: None,
            errors: vec![refusal.to_string()],
            attempts: 1,
            original: [("message".to_owned(), String::from_utf8_lossy(quoted).into_owned())].into(),
        };
        let id = EventId::derive(heard, Role::Bridge, "dead_letter", 0);
        Event { envelope: self.envelope(id, now, None, None), data: letter.cut().into() }
    }

    fn envelope(
        &self,
        id: EventId,
        time: Timestamp,
        subject: Option<Subject>,
        incident: Option<IncidentId>,
    ) -> Envelope {
        Envelope {
            id,
            source: Source { role: Role::Bridge, instance: self.settings.instance.clone() },
            time,
            host: self.settings.host.clone(),
            subject,
            incident,
            cause: None,
            traceparent: None,
        }
    }

    fn unhealthy(&mut self, heard: Unhealthy, time: Timestamp) -> Result<Data, Refusal> {
        let id = ContainerId::new(heard.container_id).map_err(malformed)?;
        let name = named(&heard.container_name)?;
        self.learn(&name, &id);
        let health = match heard.health_status.as_str() {
            "healthy" => Health::Healthy,
            "unhealthy" => Health::Unhealthy,
            "starting" => Health::Starting,
            _ => Health::None,
        };
        let state = serde_json::from_value(Value::String(heard.status)).unwrap_or(RunState::Unknown);
        let sample = Sample {
            state,
            cpu_percent: heard.metrics.cpu_percent,
            memory_percent: heard.metrics.memory_percent,
            memory_bytes: heard.metrics.memory_usage,
            memory_limit_bytes: heard.metrics.memory_limit,
            network_rx_bytes: heard.metrics.network_rx_bytes,
            network_tx_bytes: heard.metrics.network_tx_bytes,
            block_read_bytes: heard.metrics.blkio_read_bytes,
            block_write_bytes: heard.metrics.blkio_write_bytes,
            restart_count: heard.restart_count,
            health,
            exit_code: (state != RunState::Running).then_some(heard.exit_code),
            ..Sample::default()
        };
        let known = heard.anomalies.iter().take(ANOMALIES_MAX);
        let anomalies: Vec<_> = known.filter_map(|anomaly| anomaly_of(anomaly, time)).collect();
        let Some(severity) = anomalies.iter().map(|anomaly| anomaly.severity).max() else {
            return Err(malformed("it names no anomaly that is known"));
        };
        Ok(Data::HealthAlert(HealthAlert {
            container: reference(id, name, &heard.image),
            severity,
            anomalies,
            sample,
            opened_at: time,
            engine_event_at: None,
            deaths_recent: 0,
            engine_restarts: false,
            evidence: Evidence::default(),
            policy: suggestion(),
        }))
    }

    fn request(&self, heard: &Request, time: Timestamp) -> Result<Data, Refusal> {
        let container = self.known(&heard.container)?;
        let action = action_of(&heard.action)?;
        let plan = Plan {
            action,
            target: container.id.clone(),
            policy: suggestion(),
            expires_at: time + self.settings.plan_ttl,
        };
        let verdict = verdict(&heard.reason, heard.confidence, &heard.analysis_method)?;
        Ok(Data::RemediationNeeded(RemediationNeeded {
            container,
            plan,
            severity: Severity::High,
            kinds: Vec::new(),
            verdict,
        }))
    }

    fn alarm(&self, heard: &Alarm) -> Result<Data, Refusal> {
        let container = self.known(&heard.container)?;
        let verdict = verdict(&heard.reason, heard.confidence, &heard.analysis_method)?;
        Ok(Data::FalseAlarm(FalseAlarm { container, kinds: Vec::new(), verdict }))
    }

    fn done(&self, heard: Done, id: EventId) -> Result<Data, Refusal> {
        let container = self.known(&heard.container)?;
        let result = heard.result;
        let detail = match &result.details {
            Some(Value::String(text)) => cut(text, TEXT_BYTES_MAX),
            Some(other) => cut(&other.to_string(), TEXT_BYTES_MAX),
            None => String::new(),
        };
        let outcome = match result.status.as_str() {
            "success" => Outcome::Success,
            "failed" => {
                Outcome::Failed { error: cut(result.error.as_deref().unwrap_or_default(), TEXT_BYTES_MAX) }
            }
            "not_applicable" => Outcome::NotApplicable { detail },
            "rejected" => Outcome::Rejected {
                rejection: match result.reason.as_deref() {
                    Some("cooldown_active") => Rejection::CooldownActive,
                    Some("circuit_breaker_open") => Rejection::CircuitBreakerOpen,
                    _ => Rejection::ModeForbids,
                },
                remaining_ms: result.remaining_seconds.map(|secs| secs.saturating_mul(1_000)),
            },
            other => Outcome::Unknown { detail: format!("its status is `{}`", cut(other, 64)) },
        };
        Ok(Data::RemediationComplete(RemediationComplete {
            container,
            // Its request has no id. What was asked for over there is no plan of ours.
            plan: EventId::derive(id, Role::Bridge, "plan", 0),
            action: action_of(&heard.action)?,
            outcome,
            dry_run: heard.dry_run,
            duration_ms: None,
            run_started_at: None,
            reason: cut(heard.reason.as_deref().unwrap_or_default(), TEXT_BYTES_MAX),
            confidence: confidence(heard.confidence.unwrap_or(0.0))?,
        }))
    }

    /// The container with this name, as far as it is known.
    fn known(&self, name: &str) -> Result<ContainerRef, Refusal> {
        let name = named(name)?;
        let unknown = || ContainerId::new(UNKNOWN_ID).expect("twelve digits are an id");
        let id = self.ids.get(&name).cloned().unwrap_or_else(unknown);
        Ok(reference(id, name, ""))
    }

    fn learn(&mut self, name: &str, id: &ContainerId) {
        if self.ids.insert(name.to_owned(), id.clone()).is_none() {
            self.order.push_back(name.to_owned());
        }
        if IDS_MAX < self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}
