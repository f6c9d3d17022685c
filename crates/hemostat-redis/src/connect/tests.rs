use super::*;

const INFO: &str = "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nmaxmemory:0\r\n\
                    maxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\n# Cluster\r\ncluster_enabled:0\r\n";

#[test]
fn info_is_read() {
    let expected =
        Server { version: "7.0.15".to_owned(), policy: "noeviction".to_owned(), append_only: true };
    assert_eq!(Server::read(INFO), expected);
    assert!(Server::read(INFO).check().is_ok());
}

#[test]
fn servers_that_cannot_keep_the_log_are_refused() {
    let check = |from: &str, to: &str| Server::read(&INFO.replace(from, to)).check();
    assert!(matches!(check("7.0.15", "6.2.14"), Err(ConnectError::TooOld(version)) if version == "6.2.14"));
    assert!(matches!(check("redis_version", "other"), Err(ConnectError::TooOld(_))));
    assert!(check("7.0.15", "10.1.0").is_ok());
    assert!(matches!(check("noeviction", "allkeys-lru"), Err(ConnectError::Evicts(_))));
    assert!(check("cluster_enabled:0", "cluster_enabled:1").is_ok());
}

#[test]
fn the_refusal_of_an_evicting_server_says_what_to_set() {
    let text = ConnectError::Evicts("volatile-ttl".to_owned()).to_string();
    assert!(text.contains("volatile-ttl") && text.contains("maxmemory-policy noeviction"), "{text}");
}

#[test]
fn settings_do_not_show_the_password() {
    let url = "redis://:secret@localhost/".to_owned();
    let settings = RedisSettings { url, namespace: "hemostat".to_owned(), partitions: None };
    assert!(!format!("{settings:?}").contains("secret"));
}
