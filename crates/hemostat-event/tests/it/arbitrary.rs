//! Arbitrary valid events: whatever the types allow, including what no agent would say.

use hemostat_event::{
    Action, ActionKind, Actor, Anomaly, AnomalyKind, Basis, Cause, Change, Channel, Command,
    ContainerChanged, ContainerId, ContainerPolicy, ContainerRef, ContainerSample, Data, DeadLetter,
    Delivery, Diagnosis, Envelope, Event, EventId, EventType, Evidence, EvidenceItem, EvidenceKind,
    FalseAlarm, Gap, Health, HealthAlert, HealthRecovered, HostName, IncidentId, Mode, Notification,
    NotificationKind, OperatorCommand, Outcome, Plan, Recovery, Rejection, RemediationComplete,
    RemediationNeeded, RemediationStarted, RemediationVerified, Role, RunState, Sample, Severity, Source,
    Subject, Timestamp, TraceParent, TrendPoint, Verdict, Verification,
};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// An event of any type.
pub(crate) fn event() -> impl Strategy<Value = Event> {
    select(EventType::ALL.to_vec()).prop_flat_map(event_of)
}

/// An event of type `kind`.
pub(crate) fn event_of(kind: EventType) -> impl Strategy<Value = Event> {
    (envelope(), data(kind)).prop_map(|(envelope, data)| Event { envelope, data })
}

fn data(kind: EventType) -> BoxedStrategy<Data> {
    match kind {
        EventType::ContainerSample => (container(), sample(), of((any::<u64>(), time())))
            .prop_map(|(container, sample, gap)| {
                let gap = gap.map(|(samples, since)| Gap { samples, since });
                ContainerSample { container, sample, gap }.into()
            })
            .boxed(),
        EventType::ContainerChanged => (container(), change(), actor(), time())
            .prop_map(|(container, change, by, at)| ContainerChanged { container, change, by, at }.into())
            .boxed(),
        EventType::HealthAlert => health_alert(),
        EventType::HealthRecovered => (container(), kinds(), recovery(), time(), any::<u64>())
            .prop_map(|(container, kinds, reason, opened_at, lasted_ms)| {
                HealthRecovered { container, kinds, reason, opened_at, lasted_ms }.into()
            })
            .boxed(),
        EventType::Diagnosis => diagnosis(),
        EventType::RemediationNeeded => (container(), plan(), severity(), kinds(), verdict())
            .prop_map(|(container, plan, severity, kinds, verdict)| {
                RemediationNeeded { container, plan, severity, kinds, verdict }.into()
            })
            .boxed(),
        EventType::FalseAlarm => (container(), kinds(), verdict())
            .prop_map(|(container, kinds, verdict)| FalseAlarm { container, kinds, verdict }.into())
            .boxed(),
        EventType::RemediationStarted => remediation_started(),
        EventType::RemediationComplete => remediation_complete(),
        EventType::RemediationVerified => remediation_verified(),
        EventType::Notification => (of(container()), notification_kind(), channel(), delivery(), text())
            .prop_map(|(container, kind, channel, delivery, dedup_key)| {
                Notification { container, kind, channel, delivery, dedup_key }.into()
            })
            .boxed(),
        EventType::OperatorCommand => {
            (command(), text()).prop_map(|(command, by)| OperatorCommand { command, by }.into()).boxed()
        }
        EventType::DeadLetter => dead_letter(),
    }
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let named = (host(), of(vec(any::<char>(), 1..12).prop_map(String::from_iter))).prop_filter_map(
        "a name that the constructor takes",
        |(host, name)| {
            let subject = name.map(|name| Subject::new(&host, &name)).transpose().ok()?;
            Some((host, subject))
        },
    );
    let source = (role(), text()).prop_map(|(role, instance)| Source { role, instance });
    let trace = "0[0-9]-[0-9a-f]{31}1-[0-9a-f]{15}1-0[01]";
    let trace = of(trace.prop_map(|text| TraceParent::new(text).expect("valid")));
    (id(), source, time(), named, of(incident()), of(id()), trace).prop_map(
        |(id, source, time, (host, subject), incident, cause, traceparent)| Envelope {
            id,
            source,
            time,
            host,
            subject,
            incident,
            cause,
            traceparent,
        },
    )
}

fn health_alert() -> BoxedStrategy<Data> {
    let symptoms = (severity(), vec(anomaly(), 0..4), time(), of(time()), any::<u32>(), any::<bool>());
    (container(), symptoms, sample(), evidence(), policy())
        .prop_map(|(container, symptoms, sample, evidence, policy)| {
            let (severity, anomalies, opened_at, engine_event_at, deaths_recent, engine_restarts) = symptoms;
            HealthAlert {
                container,
                severity,
                anomalies,
                sample,
                opened_at,
                engine_event_at,
                deaths_recent,
                engine_restarts,
                evidence,
                policy,
            }
            .into()
        })
        .boxed()
}

fn diagnosis() -> BoxedStrategy<Data> {
    let model = (text(), text(), confidence(), any::<u64>());
    (container(), model, cause(), any::<bool>(), of(action_kind()), vec(text(), 0..3), text(), text())
        .prop_map(|(container, model, cause, real_issue, action, cited, explanation, prompt_digest)| {
            let (provider, model, stated_confidence, latency_ms) = model;
            Diagnosis {
                container,
                provider,
                model,
                cause,
                real_issue,
                action,
                stated_confidence,
                cited,
                explanation,
                prompt_digest,
                latency_ms,
            }
            .into()
        })
        .boxed()
}

fn remediation_started() -> BoxedStrategy<Data> {
    let count = (any::<u32>(), any::<u32>());
    (container(), id(), action(), container_id(), kinds(), of(time()), count, any::<bool>(), any::<bool>())
        .prop_map(
            |(container, plan, action, target, kinds, run_started_at, (attempt, budget), probe, dry_run)| {
                RemediationStarted {
                    container,
                    plan,
                    action,
                    target,
                    kinds,
                    run_started_at,
                    attempt,
                    budget,
                    probe,
                    dry_run,
                }
                .into()
            },
        )
        .boxed()
}

fn remediation_complete() -> BoxedStrategy<Data> {
    let run = (of(any::<u64>()), of(time()));
    (container(), id(), action(), outcome(), any::<bool>(), run, text(), confidence())
        .prop_map(|(container, plan, action, outcome, dry_run, run, reason, confidence)| {
            let (duration_ms, run_started_at) = run;
            RemediationComplete {
                container,
                plan,
                action,
                outcome,
                dry_run,
                duration_ms,
                run_started_at,
                reason,
                confidence,
            }
            .into()
        })
        .boxed()
}

fn remediation_verified() -> BoxedStrategy<Data> {
    let seen = (verification(), text(), of(run_state()), of(health()));
    (container(), id(), action_kind(), seen, any::<u64>())
        .prop_map(|(container, plan, action, (verdict, detail, state, health), elapsed_ms)| {
            RemediationVerified { container, plan, action, verdict, detail, state, health, elapsed_ms }.into()
        })
        .boxed()
}

fn dead_letter() -> BoxedStrategy<Data> {
    let original = btree_map(text(), text(), 0..4);
    (text(), text(), role(), of(id()), of(incident()), vec(text(), 0..4), any::<u32>(), original)
        .prop_map(|(stream, entry, group, event, incident, errors, attempts, original)| {
            DeadLetter { stream, entry, group, event, incident, errors, attempts, original }.into()
        })
        .boxed()
}

fn container() -> impl Strategy<Value = ContainerRef> {
    (container_id(), text(), text(), of(text()), of(text()))
        .prop_map(|(id, name, image, project, service)| ContainerRef { id, name, image, project, service })
}

fn sample() -> impl Strategy<Value = Sample> {
    let cpu = (of(figure()), of(figure()), of(any::<u64>()), of(figure()));
    let memory = (of(any::<u64>()), of(any::<u64>()), of(figure()));
    let io = (of(any::<u64>()), of(any::<u64>()), of(any::<u64>()), of(any::<u64>()));
    let size = (of(any::<u64>()), of(any::<u64>()), of(any::<u64>()));
    let life = (run_state(), any::<u64>(), health(), any::<u64>());
    let end = (of(any::<i64>()), any::<bool>(), of(time()), of(time()));
    (cpu, memory, io, size, life, end).prop_map(|(cpu, memory, io, size, life, end)| Sample {
        state: life.0,
        cpu_percent: cpu.0,
        cpu_limit_cores: cpu.1,
        cpu_usage_ns: cpu.2,
        cpu_throttled_percent: cpu.3,
        memory_bytes: memory.0,
        memory_limit_bytes: memory.1,
        memory_percent: memory.2,
        network_rx_bytes: io.0,
        network_tx_bytes: io.1,
        block_read_bytes: io.2,
        block_write_bytes: io.3,
        pids: size.0,
        pids_limit: size.1,
        disk_writable_bytes: size.2,
        restart_count: life.1,
        health: life.2,
        health_failing_streak: life.3,
        exit_code: end.0,
        oom_killed: end.1,
        started_at: end.2,
        finished_at: end.3,
    })
}

fn anomaly() -> impl Strategy<Value = Anomaly> {
    (kind(), severity(), of(figure()), of(figure()), time(), text()).prop_map(
        |(kind, severity, actual, threshold, since, detail)| Anomaly {
            kind,
            severity,
            actual,
            threshold,
            since,
            detail,
        },
    )
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let item = (text(), evidence_kind(), text()).prop_map(|(id, kind, text)| EvidenceItem { id, kind, text });
    let point = (time(), of(figure()), of(any::<u64>()))
        .prop_map(|(at, cpu_percent, memory_bytes)| TrendPoint { at, cpu_percent, memory_bytes });
    (vec(item, 0..3), vec(point, 0..3), any::<u32>()).prop_map(|(items, trend, redactions)| Evidence {
        items,
        trend,
        redactions,
    })
}

fn policy() -> impl Strategy<Value = ContainerPolicy> {
    (mode(), of(any::<u32>()), of(any::<u64>()), vec(text(), 0..3)).prop_map(
        |(mode, stop_timeout_secs, cooldown_secs, problems)| ContainerPolicy {
            mode,
            stop_timeout_secs,
            cooldown_secs,
            problems,
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    (action(), container_id(), policy(), time()).prop_map(|(action, target, policy, expires_at)| Plan {
        action,
        target,
        policy,
        expires_at,
    })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let basis = prop_oneof![
        text().prop_map(|rule| Basis::Rule { rule }),
        (text(), text()).prop_map(|(provider, model)| Basis::Model { provider, model }),
    ];
    (cause(), confidence(), basis, vec(text(), 0..3), text()).prop_map(
        |(cause, confidence, basis, cited, reason)| Verdict { cause, confidence, basis, cited, reason },
    )
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        run_state().prop_map(|state| Change::Discovered { state }),
        Just(Change::Started),
        any::<i64>().prop_map(|exit_code| Change::Stopped { exit_code }),
        any::<i64>().prop_map(|exit_code| Change::Died { exit_code }),
        Just(Change::OomKilled),
        health().prop_map(|health| Change::HealthChanged { health }),
        any::<bool>().prop_map(|paused| Change::Paused { paused }),
        Just(Change::Removed),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        of(any::<u32>()).prop_map(|stop_timeout_secs| Action::Restart { stop_timeout_secs }),
        (text(), any::<u32>()).prop_map(|(service, replicas)| Action::Scale { service, replicas }),
        Just(Action::Cleanup),
        vec(text(), 0..3).prop_map(|command| Action::Exec { command }),
        Just(Action::Escalate),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Success),
        text().prop_map(|error| Outcome::Failed { error }),
        (rejection(), of(any::<u64>()))
            .prop_map(|(rejection, remaining_ms)| Outcome::Rejected { rejection, remaining_ms }),
        text().prop_map(|detail| Outcome::NotApplicable { detail }),
        text().prop_map(|detail| Outcome::Unknown { detail }),
    ]
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        any::<u32>().prop_map(|attempt| Delivery::Sent { attempt }),
        Just(Delivery::Deduplicated),
        id().prop_map(|into| Delivery::Grouped { into }),
        (any::<u32>(), text()).prop_map(|(attempt, error)| Delivery::Failed { attempt, error }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        id().prop_map(|plan| Command::Approve { plan }),
        (id(), text()).prop_map(|(plan, reason)| Command::Deny { plan, reason }),
        (subject(), time()).prop_map(|(target, until)| Command::Silence { target, until }),
        of(time()).prop_map(|until| Command::Pause { until }),
        Just(Command::Resume),
        id().prop_map(|event| Command::Redrive { event }),
        (subject(), action()).prop_map(|(target, action)| Command::Act { target, action }),
        (proptest::collection::vec(id(), 0..4), text())
            .prop_map(|(events, reason)| Command::Redact { events, reason }),
        (of(subject()), of(incident()), of(time()), of(time()), text()).prop_map(
            |(container, incident, since, until, reason)| Command::Hold {
                container,
                incident,
                since,
                until,
                reason
            }
        ),
        (id(), text()).prop_map(|(hold, reason)| Command::Release { hold, reason }),
    ]
}

fn id() -> impl Strategy<Value = EventId> {
    any::<u128>().prop_map(|bits| format!("{bits:032x}").parse().expect("32 digits are a UUID"))
}

fn incident() -> impl Strategy<Value = IncidentId> {
    any::<u128>().prop_map(|bits| format!("{bits:032x}").parse().expect("32 digits are a UUID"))
}

fn container_id() -> impl Strategy<Value = ContainerId> {
    "[0-9a-f]{12,64}".prop_map(|id| ContainerId::new(id).expect("valid"))
}

fn host() -> impl Strategy<Value = HostName> {
    "[A-Za-z0-9._-]{1,16}".prop_map(|name| HostName::new(name).expect("valid"))
}

fn subject() -> impl Strategy<Value = Subject> {
    (host(), "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,16}")
        .prop_map(|(host, name)| Subject::new(&host, &name).expect("valid"))
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_micros)
}

/// What a person, a container or another program may write, short enough for many cases.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,24}", "\\PC{0,12}", vec(any::<char>(), 0..6).prop_map(String::from_iter)]
}

fn figure() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    NORMAL | SUBNORMAL | ZERO | POSITIVE | NEGATIVE
}

fn confidence() -> impl Strategy<Value = f64> {
    0.0..=1.0
}

macro_rules! any_of {
    ($($name:ident: $type:ident [$($variant:ident)*];)*) => {
        $(fn $name() -> impl Strategy<Value = $type> {
            select(vec![$($type::$variant),*])
        })*
    };
}

any_of! {
    role: Role [Monitor Analyzer Responder Alert Operator];
    run_state: RunState [Created Running Paused Restarting Removing Exited Dead Unknown];
    health: Health [None Starting Healthy Unhealthy];
    severity: Severity [Info Warning High Critical];
    actor: Actor [Engine Operator Hemostat];
    mode: Mode [Observe Suggest Approve Auto];
    recovery: Recovery [Cleared Stopped Removed];
    evidence_kind: EvidenceKind [LogTail HealthOutput Inspection RecentChange];
    action_kind: ActionKind [Restart Scale Cleanup Exec Escalate];
    verification: Verification [Verified NotFixed Unknown];
    channel: Channel [Slack Webhook Terminal];
    rejection: Rejection [
        CooldownActive BudgetSpent CircuitBreakerOpen ModeForbids ConfidenceTooLow PlanExpired ActionInProgress
    ];
    notification_kind: NotificationKind [
        Escalation Remediated RemediationFailed RemediationRejected Verified NotFixed Recovered DeadLetter
    ];
    cause: Cause [
        MemoryLimit MemoryLeak CpuSaturation ApplicationError NativeCrash BadCommand KilledFromOutside
        IntendedStop CrashLoop Unresponsive DiskFull Dependency ProcessLeak TransientSpike Unknown
    ];
}

fn kind() -> impl Strategy<Value = AnomalyKind> {
    select(AnomalyKind::ALL.to_vec())
}

fn kinds() -> impl Strategy<Value = Vec<AnomalyKind>> {
    vec(kind(), 0..4)
}
