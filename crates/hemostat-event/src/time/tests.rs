use proptest::prelude::*;

use super::*;

const LAST: Timestamp = Timestamp(MICROS_MAX);

fn parsed(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("RFC 3339")
}

#[test]
fn is_written_in_utc_with_microseconds() {
    assert_eq!(Timestamp::from_micros(1_773_480_413_589_793).to_string(), "2026-03-14T09:26:53.589793Z");
    assert_eq!(Timestamp::EPOCH.to_string(), "1970-01-01T00:00:00.000000Z");
    assert_eq!(LAST.to_string(), "9999-12-31T23:59:59.000000Z");
}

#[test]
fn is_read_in_every_zone_and_precision() {
    let expected = Timestamp::from_micros(1_773_480_413_500_000);
    for text in [
        "2026-03-14T09:26:53.5Z",
        "2026-03-14T10:26:53.500+01:00",
        "2026-03-13T23:56:53.500000-09:30",
        "2026-03-14T09:26:53.500000999Z",
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
    for text in ["", "2026-03-14", "2026-03-14T09:26:53", "2026-02-30T00:00:00Z", "1773480413"] {
        assert!(Timestamp::parse(text).is_err(), "{text}");
    }
}

#[test]
fn times_outside_of_1970_to_9999_are_taken_as_the_nearest_inside() {
    // What the engine writes for a container that has not ended yet.
    assert_eq!(parsed("0001-01-01T00:00:00Z"), Timestamp::EPOCH);
    assert_eq!(parsed("0000-01-01T00:00:00+23:59"), Timestamp::EPOCH);
    assert_eq!(parsed("9999-12-31T23:59:59.999999Z"), LAST);
    assert_eq!(parsed("9999-12-31T23:59:59-23:59"), LAST);
    assert_eq!(Timestamp::from_micros(i64::MIN), Timestamp::EPOCH);
    assert_eq!(Timestamp::from_micros(i64::MAX), LAST);
    assert_eq!(Timestamp::from_millis(u64::MAX), LAST);
}

#[test]
fn a_leap_second_is_the_second_after() {
    assert_eq!(parsed("2016-12-31T23:59:60Z"), parsed("2017-01-01T00:00:00Z"));
}

#[test]
fn milliseconds_are_whole_ones() {
    let time = Timestamp::from_micros(1_999);
    assert_eq!(time.millis(), 1);
    assert_eq!(Timestamp::from_millis(time.millis()), Timestamp::from_micros(1_000));
}

#[test]
fn arithmetic_saturates() {
    assert_eq!(LAST + Duration::from_micros(1), LAST);
    assert_eq!(LAST + Duration::MAX, LAST);
    assert_eq!(Timestamp::EPOCH - Duration::from_micros(1), Timestamp::EPOCH);
    assert_eq!(LAST - Duration::MAX, Timestamp::EPOCH);
    assert_eq!(Timestamp::EPOCH.since(LAST), Duration::ZERO);
    assert_eq!(LAST.since(Timestamp::EPOCH).as_micros(), MICROS_MAX.unsigned_abs().into());
}

#[test]
fn is_a_number_in_messagepack_and_a_text_in_json() {
    let time = Timestamp::from_micros(1_773_480_413_589_793);
    let packed = rmp_serde::to_vec(&time).expect("a number");
    assert_eq!(packed.len(), 9, "a marker and 64 bits");
    assert_eq!(rmp_serde::from_slice::<Timestamp>(&packed).expect("a time"), time);
    let json = serde_json::to_value(time).expect("a text");
    assert_eq!(json, "2026-03-14T09:26:53.589793Z");
    assert_eq!(serde_json::from_value::<Timestamp>(json).expect("a time"), time);
}

#[test]
fn numbers_that_are_no_time_are_clamped_and_other_values_refused() {
    let read = |bytes: Vec<u8>| rmp_serde::from_slice::<Timestamp>(&bytes);
    assert_eq!(read(rmp_serde::to_vec(&u64::MAX).expect("a number")).expect("a time"), LAST);
    assert_eq!(read(rmp_serde::to_vec(&-1_i64).expect("a number")).expect("a time"), Timestamp::EPOCH);
    for refused in [rmp_serde::to_vec(&1.5), rmp_serde::to_vec(&true), rmp_serde::to_vec("yesterday")] {
        assert!(read(refused.expect("a value")).is_err());
    }
}

/// serde buffers the fields of such a type, and the buffer takes itself for a text format.
#[test]
fn is_read_inside_a_tagged_enum_too() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "state")]
    enum Breaker {
        Open { until: Timestamp },
    }
    let open = Breaker::Open { until: Timestamp::from_micros(59) };
    let packed = rmp_serde::to_vec_named(&open).expect("a map");
    assert_eq!(rmp_serde::from_slice::<Breaker>(&packed).expect("a breaker"), open);
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(micros in any::<i64>()) {
        let time = Timestamp::from_micros(micros);
        prop_assert_eq!(parsed(&time.to_string()), time);
        prop_assert_eq!(Timestamp::from_micros(time.micros()), time);
    }

    #[test]
    fn text_sorts_as_time_does(one in any::<i64>(), two in any::<i64>()) {
        let (one, two) = (Timestamp::from_micros(one), Timestamp::from_micros(two));
        prop_assert_eq!(one.cmp(&two), one.to_string().cmp(&two.to_string()));
    }

    #[test]
    fn since_undoes_addition(micros in 0..MICROS_MAX / 2, span in 0..1_000_000_000_000_u64) {
        let (time, span) = (Timestamp::from_micros(micros), Duration::from_micros(span));
        prop_assert_eq!((time + span).since(time), span);
        prop_assert_eq!(time + span - span, time);
    }
}
