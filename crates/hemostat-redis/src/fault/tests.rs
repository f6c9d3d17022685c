use std::io;

use redis::ServerErrorKind;

use super::*;

#[test]
fn a_lost_connection_is_indefinite_only_for_what_changes_something() {
    for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset, io::ErrorKind::TimedOut] {
        let error = || RedisError::from(io::Error::from(kind));
        assert!(matches!(asking(error(), Effect::Read), LogError::Unavailable(_)));
        assert!(matches!(asking(error(), Effect::Write), LogError::Indefinite(_)));
        assert!(matches!(connecting(error()), LogError::Unavailable(_)));
        assert!(ends_connection(&error()), "{kind}");
    }
}

#[test]
fn what_passes_is_unavailable_and_what_a_person_must_change_is_refused() {
    let passes =
        ["OOM", "LOADING", "READONLY", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "BUSY"];
    for code in passes {
        let error = asking(answer(code), Effect::Write);
        assert!(matches!(error, LogError::Unavailable(_)), "{code}: {error:?}");
    }
    for code in ["NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE", "ERR", "NOVEL"] {
        let error = asking(answer(code), Effect::Write);
        assert!(matches!(error, LogError::Refused { .. }), "{code}: {error:?}");
    }
}

#[test]
fn a_full_redis_is_told_in_words_an_operator_can_act_on() {
    let LogError::Unavailable(source) = asking(answer("OOM"), Effect::Write) else { panic!("it passes") };
    assert!(source.to_string().contains("maxmemory"), "{source}");
    assert!(source.source().is_some(), "what Redis answered is kept");
}

#[test]
fn a_vanished_group_is_known_by_its_code() {
    assert!(is_group_gone(&answer("NOGROUP")) && is_group_gone(&answer("UNBLOCKED")));
    assert!(!is_group_gone(&answer("ERR")));
}

/// An error as the client library makes it of the answer of a server.
fn answer(code: &str) -> RedisError {
    let reply = format!("-{code} because\r\n");
    let value = redis::parse_redis_value(reply.as_bytes()).expect("it is an answer");
    let error = value.extract_error().expect_err("it is an error");
    if code == "READONLY" {
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly));
        assert!(ends_connection(&error));
    }
    error
}
