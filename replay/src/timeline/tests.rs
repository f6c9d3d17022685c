use hemostat_event::Timestamp;

use super::chart::{Figure, svg};
use super::html::escaped;

#[test]
fn what_a_page_could_take_for_its_own_is_text() {
    assert_eq!(escaped("<b a='x' c=\"y\">&amp;"), "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;amp;");
    assert_eq!(escaped("a\u{202e}b\u{1b}[31mc\0"), "ab[31mc");
}

#[test]
fn what_markdown_could_take_for_its_own_is_text() {
    let text = "| **a** [b](http://c) <d> `e`\n# f @g \\";
    let escaped = super::markdown::escaped(text);
    assert_eq!(escaped, "\\| \\*\\*a\\*\\* \\[b\\]\\(http&#58;//c\\) \\<d\\> \\`e\\` \\# f &#64;g \\\\");
}

#[test]
fn a_chart_without_values_says_so_and_one_value_is_a_dot() {
    let timeline = timeline();
    let drawn = |values: Vec<(Timestamp, f64)>| {
        let unit = |value: f64| format!("{value:.0} %");
        svg(&Figure { title: "CPU", unit, values, limit: Some(100.0) }, &timeline)
    };
    assert!(drawn(Vec::new()).contains("no samples were recorded"));
    let at = |second: u64| timeline.opened_at + std::time::Duration::from_secs(second);
    assert!(drawn(vec![(at(1), 5.0)]).contains("<circle"));
    // Ten seconds apart, then nothing for minutes: two lines.
    let times = [0, 10, 20, 30, 400, 410];
    let lines = drawn(times.map(|second| (at(second), 5.0)).to_vec());
    assert_eq!(lines.matches("<polyline").count(), 2);
    // As many values as a week has are no larger a page, and the peak is among them.
    let mut week: Vec<_> = (0..50_000).map(|second| (at(second / 100), 5.0)).collect();
    week[31_007].1 = 99.0;
    let long = drawn(week);
    assert!(long.len() < 30_000, "{}", long.len());
    assert!(long.contains(",13.4"), "99 of 100 stand just below the top");
}

/// A time line of one event.
fn timeline() -> hemostat_core::project::Timeline {
    use hemostat_core::project::Incidents;
    use hemostat_event::cloudevents::{self, Position};
    let event = cloudevents::from_json(&serde_json::json!({
        "specversion": "1.0",
        "id": "6a3c9f0e-5d1b-5c0a-9a65-0c8f6c9e1a11",
        "type": "health_recovered",
        "source": "/monitor/one",
        "subject": "h1/web",
        "time": "2026-11-24T06:00:00.000000Z",
        "dataschema": cloudevents::dataschema(hemostat_event::EventType::HealthRecovered),
        "host": "h1",
        "correlationid": "0d6e3b52-7a4b-5f3c-8a61-3f0b2c9d4e22",
        "data": {
            "container": {"id": "ab".repeat(32), "name": "web", "image": "nginx"},
            "kinds": ["non_zero_exit"],
            "reason": "cleared",
            "opened_at": "2026-11-24T06:00:00.000000Z",
            "lasted_ms": 1,
        },
    }))
    .unwrap();
    let mut incidents = Incidents::default();
    let events = [(Position { partition: 0, seq: 1 }, event)];
    incidents.fold(&events[0].1, events[0].0);
    let incident = incidents.iter().next().unwrap();
    hemostat_core::project::timeline(incident, &events)
}
