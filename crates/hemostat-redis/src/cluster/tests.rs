use super::*;

#[test]
fn slots_are_those_of_redis() {
    // As CLUSTER KEYSLOT answers.
    for (tag, expected) in [("0", 13_907), ("1", 9_842), ("15", 4_178), ("123456789", 12_739)] {
        assert_eq!(slot(tag.as_bytes()), expected, "{tag}");
    }
}

#[tokio::test]
async fn what_has_moved_is_taken_in_and_nothing_else_is_doubted() {
    let cluster = cluster();
    cluster
        .take_in(&cluster.seeds[0], slots(&[(0, 9_999, 7_000), (10_000, 16_383, 7_001)]))
        .expect("a shape");
    assert_eq!((at(&cluster, 42), at(&cluster, 12_000)), (Some(7_000), Some(7_001)));
    assert!(cluster.is_unsettled(&error("MOVED", "42 127.0.0.1:7002")));
    assert_eq!((at(&cluster, 42), at(&cluster, 43)), (Some(7_002), Some(7_000)));
    assert!(!cluster.shape().stale);
    assert!(cluster.is_unsettled(&error("MOVED", "42 :7003")), "a node that does not say where it is");
    assert!(cluster.shape().stale);
    cluster.take_in(&cluster.seeds[0], slots(&[(0, 16_383, 7_001)])).expect("a shape");
    assert_eq!((at(&cluster, 42), cluster.shape().stale), (Some(7_001), false));
}

#[tokio::test]
async fn only_what_no_node_has_begun_is_sent_again() {
    let cluster = cluster();
    for code in ["ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING"] {
        assert!(cluster.is_unsettled(&error(code, "1 127.0.0.1:7002")), "{code}");
    }
    for answer in [error("ERR", "no"), error("READONLY", "no"), error("NOGROUP", "no"), Value::Nil] {
        assert!(!cluster.is_unsettled(&answer), "{answer:?}");
    }
}

#[tokio::test]
async fn a_node_without_a_host_is_where_the_one_is_that_answers() {
    let cluster = cluster();
    let one = Value::Array(vec![Value::Nil, Value::Int(7_009)]);
    let range = Value::Array(vec![Value::Int(0), Value::Int(16_383), one]);
    cluster.take_in(&cluster.seeds[0], Value::Array(vec![range])).expect("a shape");
    let owner = cluster.shape().owner(1).expect("it has all");
    assert_eq!(owner.address().expect("it has one").addr().to_string(), "127.0.0.1:7009");
}

fn cluster() -> Cluster {
    let seed = "redis://127.0.0.1:7000".parse().expect("a URL");
    Cluster {
        seeds: vec![Arc::new(Node::new(seed))],
        shape: Mutex::default(),
        looking: tokio::sync::Mutex::default(),
    }
}

fn at(cluster: &Cluster, slot: u16) -> Option<u16> {
    match cluster.shape().owner(slot)?.address()?.addr() {
        redis::ConnectionAddr::Tcp(_, port) => Some(*port),
        _ => None,
    }
}

fn slots(ranges: &[(i64, i64, i64)]) -> Value {
    let range = |(first, last, port): &(i64, i64, i64)| {
        let node = Value::Array(vec![Value::BulkString(b"127.0.0.1".to_vec()), Value::Int(*port)]);
        Value::Array(vec![Value::Int(*first), Value::Int(*last), node])
    };
    Value::Array(ranges.iter().map(range).collect())
}

/// An error as a server sends it.
fn error(code: &str, detail: &str) -> Value {
    redis::parse_redis_value(format!("-{code} {detail}\r\n").as_bytes()).expect("an error is a value")
}
