use hemostat_event::{HostName, Role};

use super::*;

#[test]
fn keys_of_a_partition_share_its_hash_tag() {
    let keys = Keys::new("hemostat").expect("it is a namespace");
    assert_eq!(keys.seq(Partition(7)), "hemostat:{7}:seq");
    let plans = StreamName::Plans(HostName::new("web-1").expect("it is a host name"));
    assert_eq!(keys.stream(Partition(7), &plans), "hemostat:{7}:remediation_needed:web-1");
    assert_eq!(keys.state(Partition(7), Role::Alert), "hemostat:{7}:state:alert");
    assert_eq!(keys.meta(), "hemostat:{0}:meta");
}

#[test]
fn namespaces_that_spoil_keys_are_refused() {
    for namespace in ["", "a b", "a{b}", "ä", &"x".repeat(65)] {
        assert!(Keys::new(namespace).is_none(), "{namespace}");
    }
    assert!(Keys::new("team-a:hemostat_2.0").is_some());
}
