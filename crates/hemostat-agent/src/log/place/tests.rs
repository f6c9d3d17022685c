use super::*;

#[test]
fn the_checksum_is_that_of_redis_cluster() {
    // The vector of the Redis Cluster specification, and slots as CLUSTER KEYSLOT answers.
    assert_eq!(crc16(b"123456789"), 0x31c3);
    for (key, slot) in [("foo", 12_182), ("bar", 5_061), ("hello", 866), ("user1000", 3_443), ("", 0)] {
        assert_eq!(crc16(key.as_bytes()) % 16_384, slot, "{key}");
    }
}

#[test]
fn hosts_spread_over_the_partitions() {
    let mut counts = [0_u32; 16];
    for n in 0..1_600 {
        let host = HostName::new(format!("web-{n}.example.org")).expect("it is a host name");
        counts[usize::from(Partition::of(&host, 16).0)] += 1;
        assert_eq!(Partition::of(&host, 1), Partition(0));
    }
    assert!(counts.iter().all(|count| (50..=150).contains(count)), "{counts:?}");
}

#[test]
fn stream_names_are_read_as_they_are_written() {
    let host = HostName::new("web-1").expect("it is a host name");
    let types = EventType::ALL.into_iter().map(StreamName::Type);
    for name in types.chain([StreamName::Plans(host)]) {
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    for text in ["", "seq", "health_alert:web-1", "remediation_needed:", "remediation_needed:a b"] {
        assert!(text.parse::<StreamName>().is_err(), "{text}");
    }
}
