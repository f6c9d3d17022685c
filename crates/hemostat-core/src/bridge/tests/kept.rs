//! The keys.

use super::*;

#[test]
fn an_alert_keeps_what_is_known_of_its_container() {
    let alert = by(hear("health_alert_running").expect("an alert"), Role::Monitor);
    let writes = say(&alert, &Before::new()).writes;
    let state = set(&writes, "hemostat:state:container:ba9876543210", 300);
    assert_eq!(
        (&state["container_name"], &state["status"], &state["health_status"], &state["cpu_percent"]),
        (&json!("api"), &json!("running"), &json!("unhealthy"), &json!(96.5))
    );
    assert_eq!(state["network_rx_bytes"], 1_024);
    let stats = set(&writes, "hemostat:stats:api", 300);
    assert_eq!((&stats["cpu_pct"], &stats["cpu_percent"]), (&json!(96.5), &json!(96.5)));
    let history = set(&writes, "hemostat:state:alert_history:api", 3_600);
    assert_eq!(history["container"], "api");
    assert_eq!(history["alerts"][0], body(&say(&alert, &Before::new()))["data"]);
    assert!(writes.contains(&Write {
        key: "hemostat:containers".to_owned(),
        what: What::Add("api".to_owned()),
        ttl_secs: None,
    }));
    for key in ["hemostat:events:health_alert", "hemostat:events:all"] {
        let entry = pushed(&writes, key, 3_600);
        assert_eq!((&entry["agent"], &entry["event_type"]), (&json!("alert"), &json!("health_alert")));
    }
}

#[test]
fn a_history_has_the_last_ten() {
    let alert = by(hear("health_alert_exited").expect("an alert"), Role::Monitor);
    let key = "hemostat:state:alert_history:web";
    let mut before = Before::new();
    for count in 1..=12_usize {
        let history = set(&say(&alert, &before).writes, key, 3_600);
        assert_eq!(history["alerts"].as_array().map(Vec::len), Some(count.min(10)));
        before.insert(key.to_owned(), history.to_string());
    }
    // What somebody else left there is no history.
    let before = Before::from([(key.to_owned(), "[1]".to_owned())]);
    let history = set(&say(&alert, &before).writes, key, 3_600);
    assert_eq!(history["alerts"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_the_responder_remembers_is_what_the_old_one_wrote() {
    let failed = ended(Outcome::Failed { error: "gone".to_owned() });
    let time = isoformat(failed.envelope.time);
    let writes = say(&failed, &Before::new()).writes;
    assert_eq!(
        set(&writes, "hemostat:state:remediation_history:web", 7_200),
        json!({
            "last_action_timestamp": time,
            "last_action": "restart",
            "last_result_status": "failed",
            "retry_count": 1,
            "last_retry_hour": "2026-11-26T20:00:00+00:00",
        })
    );
    assert_eq!(
        set(&writes, "hemostat:state:circuit_breaker:web", 7_200),
        json!({ "failure_count": 1, "retry_count": 1, "is_open": false })
    );
    assert_eq!(set(&writes, "hemostat:remediation:web", 3_600), json!({ "last_action": time, "count": 1 }));
    assert_eq!(
        pushed(&writes, "hemostat:audit:web", 604_800),
        json!({
            "timestamp": time,
            "container": "web",
            "action": "restart",
            "result_status": "failed",
            "error": "gone",
            "confidence": 0.9,
            "reason": "Container exited with non-zero code: 3",
            "metrics": null,
            "dry_run": false,
        })
    );
}

#[test]
fn the_old_breaker_counts_what_did_not_help() {
    let key = "hemostat:state:circuit_breaker:web";
    let mut before = Before::new();
    let mut step = |event: &Event| {
        let state = set(&say(event, &before).writes, key, 7_200);
        before.insert(key.to_owned(), state.to_string());
        state
    };
    assert_eq!(step(&ended(Outcome::Success))["failure_count"], 0);
    for count in 1..=3_u64 {
        let state = step(&judged(Verification::NotFixed));
        assert_eq!((&state["failure_count"], &state["is_open"]), (&json!(count), &json!(count == 3)));
    }
    assert_eq!(step(&ended(Outcome::Success))["failure_count"], 3, "it is not verified yet");
    assert_eq!(step(&judged(Verification::Verified))["is_open"], false);
    let rejection = Rejection::CircuitBreakerOpen;
    let state = step(&ended(Outcome::Rejected { rejection, remaining_ms: None }));
    assert_eq!(state["is_open"], true, "ours is open");
    assert!(state["opened_timestamp"].is_string());
}

#[test]
fn a_dry_run_starts_no_cooldown() {
    let dry = by(hear("remediation_complete_dry_run").expect("an outcome"), Role::Responder);
    let writes = say(&dry, &Before::new()).writes;
    let keys: Vec<_> = writes.iter().map(|write| write.key.as_str()).collect();
    assert_eq!(keys, ["hemostat:audit:web", "hemostat:events:remediation_complete", "hemostat:events:all"]);
    assert_eq!(pushed(&writes, "hemostat:audit:web", 604_800)["dry_run"], true);
}

#[test]
fn keys_are_gone_so_long_after_the_event() {
    let alert = by(hear("health_alert_exited").expect("an alert"), Role::Monitor);
    let late = alert.envelope.time + Duration::from_secs(301);
    let writes = outbound().say(&alert, &Before::new(), late).expect("a saying").writes;
    assert!(!writes.iter().any(|write| write.key.starts_with("hemostat:stats")), "{writes:#?}");
    let history = writes.iter().find(|write| write.key.contains("alert_history")).expect("a history");
    assert_eq!(history.ttl_secs, Some(3_299));
    // Whoever makes them anew has them as they were.
}

#[test]
fn only_the_keys_and_channels_that_were_asked_for() {
    let done = ended(Outcome::Success);
    let with = |channels: &[OldChannel], keys: &[Role]| {
        let settings = outbound::Settings {
            channels: channels.iter().copied().collect(),
            keys: keys.iter().copied().collect(),
            ..settings()
        };
        Outbound::new(settings).say(&done, &Before::new(), done.envelope.time)
    };
    assert_eq!(with(&[OldChannel::FalseAlarm], &[Role::Monitor]), None);
    let saying = with(&[OldChannel::RemediationComplete], &[]).expect("a saying");
    assert!(saying.message.is_some() && saying.writes.is_empty());
    let saying = with(&[], &[Role::Responder]).expect("a saying");
    assert!(saying.message.is_none());
    assert!(!saying.writes.iter().any(|write| write.key.contains("events")), "{:#?}", saying.writes);
}
