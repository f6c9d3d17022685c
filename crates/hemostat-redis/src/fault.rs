//! What an error of Redis means for who asked.

use hemostat_agent::log::{BoxError, LogError};
use redis::{ErrorKind, RedisError, Value};

/// Whether a request changes anything: only then is it of interest whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It can be repeated freely.
    Read,
    /// It may have been done when its answer is lost.
    Write,
}

/// An error of Redis with what it means to the operator.
#[derive(Debug, thiserror::Error)]
#[error("{hint}")]
struct Hint {
    hint: &'static str,
    #[source]
    source: RedisError,
}

/// An answer that is not what the protocol says.
#[derive(Debug, thiserror::Error)]
#[error("unexpected answer to {0}")]
struct Unexpected(&'static str);

/// An error while connecting: nothing was sent.
pub(crate) fn connecting(error: RedisError) -> LogError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => {
            refused("the user or password for Redis is wrong; see the URL of Redis", error)
        }
        ErrorKind::InvalidClientConfig => refused("the URL of Redis is not valid", error),
        _ => answered_or(error, |error| LogError::Unavailable(error.into())),
    }
}

/// An error after the request has left.
pub(crate) fn asking(error: RedisError, effect: Effect) -> LogError {
    answered_or(error, |error| match effect {
        Effect::Read => LogError::Unavailable(error.into()),
        Effect::Write => LogError::Indefinite(error.into()),
    })
}

/// An answer that cannot be understood: another program's data, or another version's.
pub(crate) fn unexpected(what: &'static str) -> LogError {
    LogError::Refused {
        reason: "Redis holds something that is not of this log; use another namespace".to_owned(),
        source: Some(Unexpected(what).into()),
    }
}

/// Whether the group that was asked for, or its stream, does not exist any more.
pub(crate) fn is_group_gone(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED"))
}

/// Whether a script has to be loaded first.
pub(crate) fn is_unknown_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// Whether the connection should be given up for a new one.
pub(crate) fn ends_connection(error: &RedisError) -> bool {
    // A replica that was a primary before: a name in the URL may lead to the new primary meanwhile. An answer
    // that does not come in time may mean that the other end is gone without a word.
    error.is_unrecoverable_error() || error.is_timeout() || error.code() == Some("READONLY")
}

/// The meaning of an error that the server answered; any other is judged by `otherwise`.
fn answered_or(error: RedisError, otherwise: impl FnOnce(RedisError) -> LogError) -> LogError {
    let code = error.code().unwrap_or_default().to_owned();
    let hint = match code.as_str() {
        "OOM" => "Redis has reached its maxmemory; raise it, nothing is written until then",
        "LOADING" => "Redis is loading its data",
        "READONLY" => "this Redis is a replica; the URL must lead to the primary",
        "MISCONF" => "Redis cannot write to its disk",
        "NOREPLICAS" => "Redis has fewer replicas than it is told to have",
        "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "MOVED" | "ASK" => "Redis is changing its shape",
        "BUSY" => "Redis is busy with a script",
        "NOGROUP" | "UNBLOCKED" => "the group vanished again and again",
        "NOAUTH" | "WRONGPASS" => {
            return refused("Redis wants a user and a password; see the URL of Redis", error);
        }
        "NOPERM" => {
            return refused("the user for Redis may not do this; `hemostat acl` prints what it needs", error);
        }
        "WRONGTYPE" => {
            return refused("a key of the log holds something else; use another namespace", error);
        }
        // What a script may not do has no code of its own.
        "ERR" if error.detail().is_some_and(|detail| detail.contains("The user executing the script")) => {
            return refused("the user for Redis may not do this; `hemostat acl` prints what it needs", error);
        }
        "" => return otherwise(error),
        _ if error.kind() == ErrorKind::Io => return otherwise(error),
        _ => return refused("Redis answered an error", error),
    };
    LogError::Unavailable(Hint { hint, source: error }.into())
}

fn refused(reason: &str, source: impl Into<BoxError>) -> LogError {
    LogError::Refused { reason: reason.to_owned(), source: Some(source.into()) }
}

#[cfg(test)]
mod tests;
