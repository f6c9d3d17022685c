//! Reads an engine's answers as bytes.
//!
//! bollard reads an answer into a type that knows every field and every word, and one word that it does not know
//! fails the whole answer: Podman lists a container as `configured`, and that container would hide all others. So
//! what agents ask is read here and only as far as it is used; an unknown word is unknown, not an error. The
//! bytes also let us bound what is held of a log or of an event.

use bollard::errors::Error as BollardError;
use bollard::{BollardRequest, Docker};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::de::{DeserializeOwned, Error as _};

#[cfg(test)]
mod tests;

/// Largest answer that is read: a list of ten thousand containers with all their labels.
const ANSWER_MAX: usize = 64 << 20;
/// Longest line of a stream that is read; an event has some hundred bytes and the container's labels.
const LINE_MAX: usize = 1 << 20;

/// The bytes that answer `GET target`; `target` is path and query.
pub(crate) fn bytes(
    docker: &Docker,
    target: String,
) -> impl Stream<Item = Result<Bytes, BollardError>> + Send + Unpin + use<> {
    // The one request of bollard that hands on the bytes of an answer, sent to another path.
    docker.clone().with_request_modifier(move |request| aim(request, &target)).export_container("")
}

/// The answer to `GET target`.
///
/// # Errors
/// Those of the request; [`BollardError::JsonSerdeError`] when the answer is not of this form.
pub(crate) async fn json<T: DeserializeOwned>(docker: &Docker, target: String) -> Result<T, BollardError> {
    let body = body(docker, target).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// The answer to `GET target`, or `None` where the engine says that all is well and then nothing.
///
/// # Errors
/// Those of [`json`].
pub(crate) async fn json_or_nothing<T: DeserializeOwned>(
    docker: &Docker,
    target: String,
) -> Result<Option<T>, BollardError> {
    let body = body(docker, target).await?;
    if body.trim_ascii().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&body)?)) }
}

async fn body(docker: &Docker, target: String) -> Result<Vec<u8>, BollardError> {
    let mut pieces = bytes(docker, target);
    let mut body = Vec::new();
    while let Some(piece) = pieces.try_next().await? {
        if ANSWER_MAX < body.len() + piece.len() {
            return Err(serde_json::Error::custom(format!("it is longer than {ANSWER_MAX} bytes")).into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Sends a request to another path of the same engine.
pub(crate) fn aim(mut request: BollardRequest, target: &str) -> BollardRequest {
    let uri = request.uri();
    let scheme = uri.scheme_str().unwrap_or("http");
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    *request.uri_mut() = format!("{scheme}://{authority}{target}").parse().expect(
        "scheme and authority are those of a request, and our targets have no other characters than a URI",
    );
    request
}

/// The whole lines in a stream of bytes. An unfinished line at its end is dropped: nobody wrote it to its end.
pub(crate) fn lines<S>(pieces: S) -> impl Stream<Item = Result<Vec<u8>, BollardError>> + Send
where
    S: Stream<Item = Result<Bytes, BollardError>> + Send,
{
    let mut lines = Lines::default();
    pieces.map_ok(move |piece| stream::iter(lines.push(&piece)).map(Ok)).try_flatten()
}

/// Puts pieces together to lines.
///
/// Invariant A-1: at most [`LINE_MAX`] bytes are held between two pieces, whatever an engine sends.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    /// Whether the line that began is too long; the rest of it is skipped.
    too_long: bool,
}

impl Lines {
    /// Takes a piece and gives the lines that it ends, empty ones left out.
    fn push(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut ended = Vec::new();
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if LINE_MAX < self.begun.len() + part.len() {
                self.too_long = true;
                self.begun = Vec::new();
            }
            if !self.too_long {
                self.begun.extend_from_slice(part);
            }
            if parts.peek().is_some() {
                let line = std::mem::take(&mut self.begun);
                if std::mem::take(&mut self.too_long) {
                    tracing::warn!(
                        bytes_max = LINE_MAX,
                        "a line of the engine's is too long and is left out"
                    );
                } else if !line.trim_ascii().is_empty() {
                    ended.push(line);
                }
            }
        }
        ended
    }
}

/// A query value with every byte escaped that is not plain (RFC 3986, "unreserved").
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(3 * text.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}
