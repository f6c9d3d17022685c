use redis::ConnectionAddr;

use super::*;

#[test]
fn a_url_of_one_server_is_left_as_it_is() {
    for url in ["redis://localhost", "redis://a:b@host:1/2", "unix:///run/redis.sock"] {
        assert!(matches!(Place::read(url), Ok(Place::Server(_))), "{url}");
    }
    for url in ["", "ftp://host", "redis+other://host", "host:6379", "redis+unix+cluster:///x"] {
        assert!(Place::read(url).is_err(), "{url}");
    }
}

#[test]
fn a_cluster_is_named_by_some_of_its_nodes() {
    let Ok(Place::Cluster(seeds)) = Place::read("redis+cluster://me:a%40b@one:7000,[::1]:7001,three") else {
        panic!("it is a cluster")
    };
    let addresses: Vec<_> = seeds.iter().map(|seed| seed.addr().to_string()).collect();
    assert_eq!(addresses, ["one:7000", "::1:7001", "three:6379"]);
    for seed in &seeds {
        assert_eq!(seed.redis_settings().username(), Some("me"));
        assert_eq!(seed.redis_settings().password(), Some("a@b"));
    }
    assert!(matches!(Place::read("redis+cluster://one,two/0"), Ok(Place::Cluster(_))));
    assert!(Place::read("redis+cluster://one/1").is_err(), "a cluster has one database");
    assert!(Place::read("redis+cluster://").is_err(), "nobody is named");
}

#[test]
fn sentinels_are_named_with_their_ports_and_the_primary_with_its_name_and_database() {
    let Ok(Place::Sentinels { sentinels, name }) =
        Place::read("redis+sentinel://:secret@one,two:7000/log/3?protocol=resp3")
    else {
        panic!("they are sentinels")
    };
    let addresses: Vec<_> = sentinels.iter().map(|one| one.addr().clone()).collect();
    assert_eq!(
        addresses,
        [26_379, 7_000].map(|port| {
            let host = if port == 7_000 { "two" } else { "one" };
            ConnectionAddr::Tcp(host.to_owned(), port)
        })
    );
    assert_eq!((name.as_str(), sentinels[0].redis_settings().db()), ("log", 3));
    assert_eq!(sentinels[1].redis_settings().password(), Some("secret"));
    assert!(Place::read("redis+sentinel://one:7000").is_err(), "it does not say which primary");
}
