//! What each page says.

use hemostat_agent::health::Report;
use serde_json::json;

use crate::running::{Running, part, report};

#[tokio::test]
async fn a_process_whose_parts_are_well_is_live_and_ready() {
    let running = Running::start().await;
    for (path, text) in [
        ("/-/healthy", "healthy\n"),
        ("/livez", "healthy\n"),
        ("/-/ready", "ready\n"),
        ("/readyz", "ready\n"),
    ] {
        let answer = running.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, text), "{path}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_process_that_waits_is_live_and_not_ready_and_says_why() {
    let running = Running::start().await;
    let waits = part("responder", true, false, "the event log is unavailable");
    running.board.set(report(&[part("monitor", true, true, "watching"), waits]));
    for path in ["/-/ready", "/readyz"] {
        let answer = running.get(path).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, "not ready\nresponder: the event log is unavailable\n");
    }
    for path in ["/-/healthy", "/livez", "/healthz"] {
        assert_eq!(running.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_process_with_a_dead_part_is_not_live_and_names_it() {
    let running = Running::start().await;
    running.board.set(report(&[part("analyzer", true, true, ""), part("monitor", false, true, "polling")]));
    for path in ["/-/healthy", "/livez"] {
        let answer = running.get(path).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, "not healthy\nmonitor: no sign of life for 95.3 s (polling)\n");
    }
    assert_eq!(running.get("/healthz").await.status, 503);
    assert_eq!(running.get("/-/ready").await.status, 200, "two questions");
}

#[tokio::test]
async fn a_process_without_parts_says_so() {
    let running = Running::start().await;
    running.board.set(report(&[]));
    let answer = running.get("/-/ready").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "not ready\nnothing has been started yet\n"));
}

#[tokio::test]
async fn the_detail_is_the_report_in_json() {
    let running = Running::start().await;
    let expected = report(&[part("monitor", true, false, "no engine")]);
    running.board.set(expected.clone());
    let answer = running.get("/healthz").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(serde_json::from_str::<Report>(&answer.body).expect("a report"), expected);
}

#[tokio::test]
async fn metrics_are_in_the_format_of_prometheus() {
    let running = Running::start().await;
    let answer = running.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(
        answer.body,
        "# HELP hemostat_things_total Things.\n# TYPE hemostat_things_total counter\nhemostat_things_total 3\n"
    );
}

#[tokio::test]
async fn the_version_and_the_index_say_who_this_is() {
    let running = Running::start().await;
    let version: serde_json::Value = serde_json::from_str(&running.get("/version").await.body).expect("JSON");
    assert_eq!(version, json!({ "name": "hemostat", "version": "1.2.3" }));
    let index = running.get("/").await;
    assert_eq!(index.header("content-type"), "text/html; charset=utf-8");
    assert!(index.body.contains("hemostat 1.2.3"));
    for link in index.body.split("href=\"").skip(1) {
        let (path, _) = link.split_once('"').expect("a link");
        assert_eq!(running.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let running = Running::start().await;
    for path in ["/-/healthy", "/-/ready", "/healthz", "/metrics", "/version", "/", "/nowhere"] {
        let (get, head) = (running.get(path).await, running.ask("HEAD", path).await);
        assert_eq!((get.status, head.body.as_str()), (head.status, ""), "{path}");
        assert_eq!(get.header("content-length"), head.header("content-length"), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_nothing_can_be_changed() {
    let running = Running::start().await;
    for path in ["/nowhere", "/-/", "/metrics/x", "/-/reload"] {
        assert_eq!(running.get(path).await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(running.ask(method, "/metrics").await.status, 405, "{method}");
    }
}
