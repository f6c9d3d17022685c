//! What went wrong with one try, and whether another one makes sense.

use std::time::{Duration, SystemTime};

use hemostat_agent::notifier::DeliveryError;
use hemostat_event::Channel;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::client::TIMEOUT;

/// One try that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the endpoint is out of reach")]
    Network(#[source] reqwest::Error),
    #[error("the endpoint answers {status}, a redirect, which is not followed: correct the address")]
    Redirect { status: StatusCode },
    #[error("the endpoint answers {status}{}", quoted(.word.as_deref()))]
    Answer { status: StatusCode, word: Option<String>, after: Option<Duration> },
}

fn quoted(word: Option<&str>) -> String {
    word.map_or_else(String::new, |word| format!(" ({word})"))
}

impl Failure {
    /// What a request ended with instead of an answer.
    pub(crate) fn of(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::Timeout } else { Self::Network(error.without_url()) }
    }

    /// The answer of a channel.
    pub(crate) fn of_channel(self, channel: Channel) -> DeliveryError {
        let after = match &self {
            Self::Timeout | Self::Network(_) => None,
            Self::Answer { status, after, .. } if may_pass(*status) => *after,
            Self::Answer { .. } | Self::Redirect { .. } => {
                return DeliveryError::Refused { channel, source: self.into() };
            }
        };
        DeliveryError::Retry { channel, after, source: self.into() }
    }
}

/// Whether the same request may succeed later.
fn may_pass(status: StatusCode) -> bool {
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || passing.contains(&status)
}

/// Longest time that an endpoint may make us wait: as long as the longest back-off. Whoever has to be told should not
/// wait for a day because of one header.
const AFTER_MAX: Duration = Duration::from_secs(300);

/// How long the endpoint asks us to wait (RFC 9110, section 10.2.3). A date is compared with the endpoint's own, so
/// that its clock may be wrong.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let asked = text(RETRY_AFTER)?;
    let is_number = !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit());
    let after = if is_number {
        // More digits than fit are more than the most that is granted.
        asked.parse().map_or(AFTER_MAX, Duration::from_secs)
    } else {
        let reference = text(DATE).and_then(date).unwrap_or(now);
        date(asked)?.duration_since(reference).unwrap_or_default()
    };
    Some(after.min(AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_date_and_capped() {
        let date = "Fri, 24 Nov 2023 05:27:17 GMT";
        let now = httpdate::parse_http_date(date).expect("a date");
        let later = "Fri, 24 Nov 2023 05:28:47 GMT";
        for (asked, own_date, expected) in [
            ("0", None, Some(0)),
            (" 30 ", None, Some(30)),
            ("86400", None, Some(300)),
            ("99999999999999999999999", None, Some(300)),
            (later, None, Some(90)),
            // The endpoint's clock is an hour ahead of ours.
            ("Fri, 24 Nov 2023 06:27:27 GMT", Some("Fri, 24 Nov 2023 06:27:17 GMT"), Some(10)),
            ("Fri, 24 Nov 2023 05:00:00 GMT", None, Some(0)),
            ("Sat, 01 Jan 2124 00:00:00 GMT", Some(date), Some(300)),
            ("", None, None),
            ("-5", None, None),
            ("1.5", None, None),
            ("soon", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, asked.parse().expect("a header"));
            if let Some(own_date) = own_date {
                headers.insert(DATE, own_date.parse().expect("a header"));
            }
            let after = retry_after(&headers, now);
            assert_eq!(after, expected.map(Duration::from_secs), "{asked:?} at {own_date:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), UNIX_EPOCH), None);
    }
}
