//! The words of version 1, as they stand in every log: a word that changes its spelling makes old events unreadable.

use hemostat_event::{
    ActionKind, Actor, AnomalyKind, Cause, Channel, EventType, EvidenceKind, Health, Mode, NotificationKind,
    Recovery, Rejection, Role, RunState, Severity, Verification,
};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

const ACTIONS: &str = "restart scale cleanup exec escalate";
const REJECTIONS: &str = "cooldown_active budget_spent circuit_breaker_open mode_forbids confidence_too_low \
    plan_expired action_in_progress";
const NOTIFICATIONS: &str = "escalation remediated remediation_failed remediation_rejected verified not_fixed \
    recovered dead_letter";

#[test]
fn words_are_as_ever() {
    hold::<EventType>(
        "container_sample container_changed health_alert health_recovered diagnosis remediation_needed false_alarm \
         remediation_started remediation_complete remediation_verified notification operator_command dead_letter",
    );
    hold::<Role>("monitor analyzer responder alert operator archiver bridge");
    hold::<RunState>("created running paused restarting removing exited dead unknown");
    hold::<Health>("none starting healthy unhealthy");
    hold::<Severity>("info warning high critical");
    hold::<AnomalyKind>(
        "high_cpu high_memory high_pids high_disk unhealthy_status non_zero_exit oom_killed restart_loop",
    );
    hold::<Actor>("engine operator hemostat");
    hold::<Mode>("observe suggest approve auto");
    hold::<EvidenceKind>("log_tail health_output inspection recent_change");
    hold::<Recovery>("cleared stopped removed");
    hold::<Cause>(
        "memory_limit memory_leak cpu_saturation application_error native_crash bad_command killed_from_outside \
         intended_stop crash_loop unresponsive disk_full dependency process_leak transient_spike unknown",
    );
    hold::<ActionKind>(ACTIONS);
    hold::<Rejection>(REJECTIONS);
    hold::<Verification>("verified not_fixed unknown");
    hold::<NotificationKind>(NOTIFICATIONS);
    hold::<Channel>("slack webhook terminal");
}

#[test]
fn a_state_of_the_future_is_unknown() {
    assert_eq!(serde_json::from_value::<RunState>(json!("hibernating")).expect("a state"), RunState::Unknown);
}

#[test]
fn the_word_in_metrics_and_messages_is_the_word_in_the_log() {
    same(&EventType::ALL, EventType::as_str);
    same(&AnomalyKind::ALL, AnomalyKind::as_str);
    same(&hold("info warning high critical"), Severity::as_str);
    same(&hold("slack webhook terminal"), Channel::as_str);
    same(&hold(ACTIONS), ActionKind::as_str);
    same(&hold(REJECTIONS), Rejection::as_str);
    same(&hold(NOTIFICATIONS), NotificationKind::as_str);
}

#[test]
fn severity_is_ordered_from_a_line_in_the_log_to_a_page() {
    assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::High);
    assert!(Severity::High < Severity::Critical);
}

#[test]
fn modes_are_ordered_from_watching_to_acting() {
    assert!(Mode::Observe < Mode::Suggest && Mode::Suggest < Mode::Approve && Mode::Approve < Mode::Auto);
}

/// Reads each of `words` as a `T`, expects it to be written with the same word, and the words to be all there are.
fn hold<T: DeserializeOwned + Serialize + JsonSchema>(words: &str) -> Vec<T> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let schema = schemars::schema_for!(T).to_value();
    let mut declared = Vec::new();
    collect(&schema, &mut declared);
    assert_eq!(declared, words, "words came, went or changed places");
    let read = |word: &&str| -> T {
        serde_json::from_value(json!(word)).unwrap_or_else(|error| panic!("`{word}`: {error}"))
    };
    let values: Vec<T> = words.iter().map(read).collect();
    assert_eq!(serde_json::to_value(&values).expect("words"), json!(words));
    values
}

fn same<T: Copy + Serialize>(values: &[T], as_str: impl Fn(T) -> &'static str) {
    for value in values {
        assert_eq!(serde_json::to_value(value).expect("a word"), as_str(*value));
    }
}

fn collect<'a>(schema: &'a Value, words: &mut Vec<&'a str>) {
    words.extend(schema["const"].as_str());
    words.extend(schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str));
    for arm in schema["oneOf"].as_array().into_iter().flatten() {
        collect(arm, words);
    }
}
