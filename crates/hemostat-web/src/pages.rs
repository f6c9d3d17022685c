//! The pages.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use hemostat_agent::health::{PartReport, Report};

use crate::{Surface, VersionInfo, exposition};

/// All pages. `HEAD` is answered like `GET`, without the body.
pub(crate) fn router(surface: Surface) -> Router {
    Router::new()
        .route("/-/healthy", get(live))
        .route("/livez", get(live))
        .route("/-/ready", get(ready))
        .route("/readyz", get(ready))
        .route("/healthz", get(report))
        .route("/metrics", get(exposition::metrics))
        .route("/version", get(version))
        .route("/", get(index))
        .fallback(nothing)
        .layer(middleware::map_response(as_of_now))
        .with_state(surface)
}

async fn live(State(surface): State<Surface>) -> Response {
    let Report { live, parts, .. } = surface.health.report();
    answer(live, "healthy", "not healthy", &parts, |part| {
        (!part.live)
            .then(|| format!("no sign of life for {:.1} s ({})", seconds(part.ticked_ms_ago), part.detail))
    })
}

async fn ready(State(surface): State<Surface>) -> Response {
    let Report { ready, parts, .. } = surface.health.report();
    answer(ready, "ready", "not ready", &parts, |part| (!part.ready).then(|| part.detail.clone()))
}

/// One word where all is well, and the parts with their reasons where it is not.
fn answer(
    well: bool,
    yes: &str,
    no: &str,
    parts: &[PartReport],
    reason: impl Fn(&PartReport) -> Option<String>,
) -> Response {
    if well {
        return format!("{yes}\n").into_response();
    }
    let mut text = format!("{no}\n");
    for part in parts {
        if let Some(reason) = reason(part) {
            text.push_str(&format!("{}: {reason}\n", part.name));
        }
    }
    if parts.is_empty() {
        text.push_str("nothing has been started yet\n");
    }
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

async fn report(State(surface): State<Surface>) -> (StatusCode, Json<Report>) {
    let report = surface.health.report();
    let status = if report.live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

async fn version(State(surface): State<Surface>) -> Json<VersionInfo> {
    Json(surface.version)
}

async fn index(State(surface): State<Surface>) -> Html<String> {
    let links = ["/-/healthy", "/-/ready", "/healthz", "/metrics", "/version"]
        .map(|path| format!("<li><a href=\"{path}\">{path}</a></li>"))
        .concat();
    let VersionInfo { name, version } = surface.version;
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title>\
         <h1>{name} {version}</h1><ul>{links}</ul></html>\n"
    ))
}

async fn nothing() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there is nothing here; see /\n")
}

/// Every answer is of this moment and is what it says it is.
async fn as_of_now(answer: Response) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], answer)
}
