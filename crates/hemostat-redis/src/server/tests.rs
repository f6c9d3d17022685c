use super::*;

#[test]
fn paths_are_quoted_for_the_configuration() {
    for (path, expected) in [
        ("/var/lib/hemostat", r#""/var/lib/hemostat""#),
        ("/a b/\"c\"\\d", r#""/a b/\"c\"\\d""#),
        ("/ä\n", r#""/\xc3\xa4\x0a""#),
    ] {
        assert_eq!(quoted(Path::new(path)), expected);
    }
}

#[test]
fn socket_urls_lead_back_to_the_path() {
    for path in ["/run/redis.sock", "/a b/100%/c?d#e/redis.sock", "/ä/redis.sock"] {
        let client = redis::Client::open(socket_url(Path::new(path))).expect("it is a URL");
        let address = client.get_connection_info().addr().clone();
        assert_eq!(address, redis::ConnectionAddr::Unix(PathBuf::from(path)));
    }
}
