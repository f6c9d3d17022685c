//! An event in one line.
//!
//! The line is for terminals and tables: what came from a container, an engine, a model or a person is shortened and
//! freed of characters that could move a cursor or turn the writing direction.

use std::time::Duration;

use hemostat_event::{
    Action, ActionKind, Actor, AnomalyKind, Cause, Change, Command, ContainerChanged, ContainerSample, Data,
    DeadLetter, Delivery, Diagnosis, Event, Health, HealthAlert, HealthRecovered, Notification,
    OperatorCommand, Outcome, Recovery, RemediationComplete, RemediationNeeded, RemediationStarted,
    RemediationVerified, RunState, Verdict, Verification,
};

use crate::redact::is_hidden;

/// Characters of a text that somebody else wrote.
const TEXT_MAX: usize = 160;
/// Characters of a line.
const LINE_MAX: usize = 320;

/// What an event says, in one line.
#[must_use]
pub fn summary(event: &Event) -> String {
    let line = match &event.data {
        Data::ContainerSample(sample) => measured(sample),
        Data::ContainerChanged(changed) => happened(changed),
        Data::HealthAlert(alert) => alerted(alert),
        Data::HealthRecovered(recovered) => recovered_line(recovered),
        Data::Diagnosis(diagnosis) => diagnosed(diagnosis),
        Data::RemediationNeeded(needed) => planned(needed),
        Data::FalseAlarm(alarm) => format!("no action: {}", judged(&alarm.verdict)),
        Data::RemediationStarted(started) => began(started),
        Data::RemediationComplete(done) => completed(done),
        Data::RemediationVerified(verified) => checked(verified),
        Data::Notification(notification) => told(notification),
        Data::OperatorCommand(order) => ordered(order),
        Data::DeadLetter(letter) => buried(letter),
    };
    plain(&line, LINE_MAX)
}

fn measured(event: &ContainerSample) -> String {
    let sample = &event.sample;
    let mut parts = vec![state_word(sample.state).to_owned()];
    parts.extend(sample.cpu_percent.map(|percent| format!("CPU {percent:.0} %")));
    parts.extend(sample.memory_bytes.map(|bytes| {
        let share = sample.memory_percent.map_or(String::new(), |percent| format!(" ({percent:.0} %)"));
        format!("memory {} MiB{share}", bytes >> 20)
    }));
    parts.extend(sample.pids.map(|pids| format!("{pids} processes")));
    parts.extend(event.gap.map(|gap| format!("{} samples before it were not recorded", gap.samples)));
    parts.extend((sample.health != Health::None).then(|| health_word(sample.health).to_owned()));
    parts.extend(sample.exit_code.map(|code| format!("exit code {code}")));
    parts.join(", ")
}

fn happened(changed: &ContainerChanged) -> String {
    let what = match &changed.change {
        Change::Discovered { state } => format!("first seen, {}", state_word(*state)),
        Change::Started => "started".to_owned(),
        Change::Stopped { exit_code } => format!("stopped, exit code {exit_code}"),
        Change::Died { exit_code: 0 } => "ended, exit code 0".to_owned(),
        Change::Died { exit_code } => format!("died, exit code {exit_code}"),
        Change::OomKilled => "the kernel killed a process for memory".to_owned(),
        Change::HealthChanged { health } => format!("health check: {}", health_word(*health)),
        Change::Paused { paused: true } => "paused".to_owned(),
        Change::Paused { paused: false } => "resumed".to_owned(),
        Change::Removed => "removed".to_owned(),
    };
    match changed.by {
        Actor::Engine => what,
        Actor::Operator => format!("{what}, through the engine"),
        Actor::Hemostat => format!("{what}, by HemoStat"),
    }
}

fn alerted(alert: &HealthAlert) -> String {
    let details = alert.anomalies.iter().map(|anomaly| plain(&anomaly.detail, TEXT_MAX));
    format!("{}: {}", alert.severity.as_str(), details.collect::<Vec<_>>().join("; "))
}

fn recovered_line(recovered: &HealthRecovered) -> String {
    let lasted = span(Duration::from_millis(recovered.lasted_ms));
    let kinds = words(&recovered.kinds);
    match recovered.reason {
        Recovery::Cleared => format!("well again after {lasted} ({kinds})"),
        Recovery::Stopped => format!("over after {lasted}: a person stopped it ({kinds})"),
        Recovery::Removed => format!("over after {lasted}: the container is gone ({kinds})"),
    }
}

fn diagnosed(diagnosis: &Diagnosis) -> String {
    let who = plain(&format!("{} {}", diagnosis.provider, diagnosis.model), 60);
    let cause = cause_word(diagnosis.cause);
    let what = match (diagnosis.real_issue, diagnosis.action) {
        (false, _) => "no real issue".to_owned(),
        (true, None) => "no action".to_owned(),
        (true, Some(action)) => action.as_str().to_owned(),
    };
    format!("{who} says {cause}, {what}: {}", plain(&diagnosis.explanation, TEXT_MAX))
}

fn planned(needed: &RemediationNeeded) -> String {
    let what = match needed.plan.action.kind() {
        ActionKind::Escalate => "a person has to look".to_owned(),
        _ => action_words(&needed.plan.action),
    };
    format!("{what}: {}", judged(&needed.verdict))
}

/// A verdict: cause, how sure, why.
fn judged(verdict: &Verdict) -> String {
    let sure = verdict.confidence * 100.0;
    format!("{} ({sure:.0} % sure): {}", cause_word(verdict.cause), plain(&verdict.reason, TEXT_MAX))
}

fn began(started: &RemediationStarted) -> String {
    let probe = if started.probe { ", probing whether acting helps again" } else { "" };
    format!(
        "{}, action {} of {} in the window{probe}{}",
        action_words(&started.action),
        started.attempt,
        started.budget,
        rehearsal(started.dry_run)
    )
}

fn completed(done: &RemediationComplete) -> String {
    let took =
        done.duration_ms.map_or(String::new(), |ms| format!(" in {}", span(Duration::from_millis(ms))));
    let outcome = match &done.outcome {
        Outcome::Success => format!("done{took}"),
        Outcome::Failed { error } => format!("failed{took}: {}", plain(error, TEXT_MAX)),
        Outcome::Rejected { rejection, remaining_ms } => {
            let again =
                remaining_ms.map(|ms| format!(", again possible in {}", span(Duration::from_millis(ms))));
            format!("not allowed ({}){}", rejection.as_str(), again.unwrap_or_default())
        }
        Outcome::NotApplicable { detail } => format!("not applicable: {}", plain(detail, TEXT_MAX)),
        Outcome::Unknown { detail } => format!("unknown whether done: {}", plain(detail, TEXT_MAX)),
    };
    format!("{} {outcome}{}", action_words(&done.action), rehearsal(done.dry_run))
}

fn checked(verified: &RemediationVerified) -> String {
    let found = match verified.verdict {
        Verification::Verified => "worked",
        Verification::NotFixed => "did not help",
        Verification::Unknown => "cannot be judged",
    };
    let after = span(Duration::from_millis(verified.elapsed_ms));
    format!("{} {found}, seen after {after}: {}", verified.action.as_str(), plain(&verified.detail, TEXT_MAX))
}

fn told(notification: &Notification) -> String {
    let (kind, channel) = (notification.kind.as_str(), notification.channel.as_str());
    match &notification.delivery {
        Delivery::Sent { attempt: 1 } => format!("{kind} sent to {channel}"),
        Delivery::Sent { attempt } => format!("{kind} sent to {channel} at try {attempt}"),
        Delivery::Deduplicated => format!("{kind} not sent to {channel}: told before"),
        Delivery::Grouped { into } => format!("{kind} for {channel} went with [{}]", into.short()),
        Delivery::Failed { attempt, error } => {
            format!("{kind} not taken by {channel} after {attempt} tries: {}", plain(error, TEXT_MAX))
        }
    }
}

/// Most characters of the reason for a hold, beside what it covers.
const HELD_MAX: usize = 60;

fn ordered(order: &OperatorCommand) -> String {
    let what = match &order.command {
        Command::Approve { plan } => format!("approve plan [{}]", plan.short()),
        Command::Deny { plan, reason } => {
            format!("deny plan [{}]: {}", plan.short(), plain(reason, TEXT_MAX))
        }
        Command::Silence { target, until } => format!("silence {target} until {until}"),
        Command::Pause { until: Some(until) } => format!("act on nothing until {until}"),
        Command::Pause { until: None } => "act on nothing".to_owned(),
        Command::Resume => "act again".to_owned(),
        Command::Redrive { event } => format!("hand out [{}] once more", event.short()),
        Command::Act { target, action } => format!("{} {target}", action_words(action)),
        Command::Redact { events, reason } => match events.as_slice() {
            [one] => format!("take out the body of [{}]: {}", one.short(), plain(reason, TEXT_MAX)),
            several => {
                format!("take out the bodies of {} events: {}", several.len(), plain(reason, TEXT_MAX))
            }
        },
        Command::Hold { container, incident, since, until, reason } => {
            let about =
                container.as_ref().map(|container| format!(" about {}", plain(container.as_str(), 80)));
            let of = incident.map(|incident| format!(" of incident [{}]", incident.short()));
            let since = since.map(|since| format!(" since {since}"));
            let until = until.map(|until| format!(" until {until}"));
            let what: String = [about, of, since, until].into_iter().flatten().collect();
            format!("hold what is{what}: {}", plain(reason, HELD_MAX))
        }
        Command::Release { hold, reason } => {
            format!("end the hold [{}]: {}", hold.short(), plain(reason, TEXT_MAX))
        }
    };
    format!("{}: {what}", plain(&order.by, 40))
}

fn buried(letter: &DeadLetter) -> String {
    let error = letter.errors.last().map_or(String::new(), |error| format!(": {}", plain(error, TEXT_MAX)));
    let stream = plain(&letter.stream, 80);
    let entry = plain(&letter.entry, 40);
    format!("the {} gave up on {stream} {entry} after {} tries{error}", letter.group, letter.attempts)
}

fn rehearsal(dry_run: bool) -> &'static str {
    if dry_run { " (dry run)" } else { "" }
}

fn action_words(action: &Action) -> String {
    match action {
        Action::Restart { .. } | Action::Cleanup | Action::Escalate => action.kind().as_str().to_owned(),
        Action::Scale { service, replicas } => format!("scale {} to {replicas}", plain(service, 60)),
        Action::Exec { command } => format!("exec `{}`", plain(&command.join(" "), 60)),
    }
}

fn words(kinds: &[AnomalyKind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::MemoryLimit => "memory limit reached",
        Cause::MemoryLeak => "memory leak",
        Cause::CpuSaturation => "CPU saturation",
        Cause::ApplicationError => "application error",
        Cause::NativeCrash => "crash in native code",
        Cause::BadCommand => "bad command",
        Cause::KilledFromOutside => "killed from outside",
        Cause::IntendedStop => "intended stop",
        Cause::CrashLoop => "crash loop",
        Cause::Unresponsive => "unresponsive",
        Cause::DiskFull => "disk full",
        Cause::Dependency => "a dependency is down",
        Cause::ProcessLeak => "process leak",
        Cause::TransientSpike => "transient spike",
        Cause::Unknown => "unknown cause",
    }
}

fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::Created => "created",
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::Restarting => "restarting",
        RunState::Removing => "being removed",
        RunState::Exited => "exited",
        RunState::Dead => "dead",
        RunState::Unknown => "in an unknown state",
    }
}

fn health_word(health: Health) -> &'static str {
    match health {
        Health::None => "none",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

/// A span with two units at most: `412ms`, `1.2s`, `3m 20s`, `2h 5m`, `3d 4h`.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{}ms", span.as_millis()),
        1..60 => format!("{seconds}.{}s", span.subsec_millis() / 100),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `text` with its line breaks and tabs, freed of other control characters and of those that hide themselves or turn
/// the writing direction: what a container wrote must not move the cursor or read otherwise than it is.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control() && !is_hidden(*c)).collect()
}

/// `text` on one line, at most `max` characters, without control characters and without those that hide themselves
/// or turn the writing direction.
fn plain(text: &str, max: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(max * 4));
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let visible: String = word.chars().filter(|c| !is_hidden(*c)).collect();
        if visible.is_empty() {
            continue;
        }
        let gap = usize::from(count != 0);
        let length = visible.chars().count();
        if max < count + gap + length {
            let room = max.saturating_sub(count + gap + 1);
            plain.extend((gap == 1).then_some(' ').into_iter().filter(|_| 0 < room));
            plain.extend(visible.chars().take(room));
            plain.push('…');
            return plain;
        }
        plain.extend((gap == 1).then_some(' '));
        plain.push_str(&visible);
        count += gap + length;
    }
    plain
}
