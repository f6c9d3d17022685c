use hemostat_agent::log::EntryError;
use hemostat_event::EventType;

use super::*;

#[test]
fn entries_are_read_and_trimmed_ones_are_told_apart() {
    let value =
        parse("*3\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$3\r\n2-7\r\n*-1\r\n$-1\r\n");
    let expected = vec![
        (EntryId { ms: 1, n: 0 }, Some(vec![(b"a".to_vec(), b"b".to_vec())])),
        (EntryId { ms: 2, n: 7 }, None),
    ];
    assert_eq!(entries(value).expect("they are entries"), expected);
    assert_eq!(entries(Value::Nil).expect("there are none"), []);
}

#[test]
fn answers_of_both_protocols_are_read() {
    let second = parse("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*0\r\n");
    let third = parse("%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*0\r\n");
    for value in [second, third] {
        let expected = vec![("s".to_owned(), vec![(EntryId { ms: 1, n: 0 }, Some(Vec::new()))])];
        assert_eq!(streams(value).expect("they are streams"), expected);
    }
}

#[test]
fn an_entry_of_another_program_is_an_entry_without_an_event() {
    let value = parse("*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    let stream = StreamName::Type(EventType::HealthAlert);
    let entries = stored(Partition(3), &stream, value).expect("it is an entry");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].at, EntryRef { partition: Partition(3), stream, id: EntryId { ms: 1, n: 0 } });
    assert!(matches!(entries[0].entry().event, Err(EntryError::NoEvent)));
}

#[test]
fn what_is_not_an_answer_is_refused() {
    for reply in
        [":1\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n$1\r\nx\r\n*0\r\n", "*1\r\n*2\r\n$3\r\n1-0\r\n:1\r\n"]
    {
        assert!(matches!(entries(parse(reply)), Err(LogError::Refused { .. })), "{reply:?}");
    }
}

fn parse(reply: &str) -> Value {
    redis::parse_redis_value(reply.as_bytes()).expect("it is an answer")
}
