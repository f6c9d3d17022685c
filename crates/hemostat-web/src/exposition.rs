//! `/metrics`: Prometheus text, written as the client takes it.
//!
//! Ten thousand containers are forty megabytes of text. They are written metric by metric, so that a scrape costs the
//! memory of a few of them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use hemostat_agent::exporter::Exporter;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder as _, TEXT_FORMAT, TextEncoder};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::Surface;

/// Answers at a time: two Prometheus servers need two.
const ANSWERS_MAX: usize = 8;
/// Metrics that are written and not yet taken, in one answer.
const AHEAD_MAX: usize = 2;

static ROOM: Semaphore = Semaphore::const_new(ANSWERS_MAX);

pub(crate) async fn metrics(State(surface): State<Surface>) -> Response {
    let own = match text(&surface.registry.gather()) {
        Ok(own) => own,
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            return (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response();
        }
    };
    let head = [(CONTENT_TYPE, format!("{TEXT_FORMAT}; charset=utf-8"))];
    let Some(exporter) = surface.exporter else { return (head, own).into_response() };
    let Ok(room) = ROOM.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many at a time; try again\n").into_response();
    };
    (head, Body::from_stream(written(own, exporter, room))).into_response()
}

/// The process's own metrics, and then those of the log.
fn written(
    own: Vec<u8>,
    exporter: Arc<Exporter>,
    room: SemaphorePermit<'static>,
) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    let (parts, taken) = mpsc::channel(AHEAD_MAX);
    // Ends when the client has all or is gone: the receiver goes with the answer.
    tokio::task::spawn_blocking(move || {
        let _until_then = room;
        if parts.blocking_send(Bytes::from(own)).is_err() {
            return;
        }
        exporter.each(&mut |family| match text(&[family]) {
            Ok(part) => parts.blocking_send(Bytes::from(part)).is_ok(),
            Err(error) => {
                tracing::error!(%error, "a metric cannot be written");
                true
            }
        });
    });
    stream::unfold(taken, async |mut taken| Some((Ok(taken.recv().await?), taken)))
}

fn text(families: &[MetricFamily]) -> prometheus::Result<Vec<u8>> {
    let mut text = Vec::new();
    TextEncoder::new().encode(families, &mut text)?;
    Ok(text)
}
