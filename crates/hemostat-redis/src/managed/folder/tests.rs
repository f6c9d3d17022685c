use super::*;

#[test]
fn a_folder_is_closed_to_others() {
    let dir = tempfile::tempdir().expect("there is a temporary folder");
    let data_dir = dir.path().join("a/b");
    fs::create_dir_all(data_dir.join(FOLDER)).expect("it can be made");
    fs::set_permissions(data_dir.join(FOLDER), Permissions::from_mode(0o755)).expect("it is ours");
    let folder = Folder::prepare(&data_dir).expect("it can be used");
    folder.publish("unix:///x").expect("it can be written");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(folder.path()), mode(&folder.path().join(URL))), (0o700, 0o600));
}

#[test]
fn a_server_has_a_socket_and_no_port() {
    let dir = tempfile::tempdir().expect("there is a temporary folder");
    let folder = Folder::prepare(dir.path()).expect("it can be used");
    let (url, config) = folder.configure().expect("it can be configured");
    assert_eq!(url, socket_url(&folder.path().join(SOCKET)));
    let value = |name: &str| config.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    assert_eq!((value("port"), value("requirepass")), (Some("0"), None));
    assert_eq!((value("appendonly"), value("maxmemory-policy")), (Some("yes"), Some("noeviction")));
}

#[test]
fn a_long_path_makes_a_port_with_a_password() {
    let dir = tempfile::tempdir().expect("there is a temporary folder");
    let folder = Folder::prepare(&dir.path().join("x".repeat(100))).expect("it can be used");
    let (url, config) = folder.configure().expect("it can be configured");
    let (again, _) = folder.configure().expect("it can be configured");
    let value = |name: &str| config.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let password = value("requirepass").expect("it has a password");
    assert_eq!((value("bind"), value("unixsocket"), password.len()), (Some("127.0.0.1"), None, 48));
    assert!(url.contains(password) && !again.contains(password), "a password is used once");
}

#[test]
fn a_lock_is_held_by_one_and_names_its_owner() {
    let dir = tempfile::tempdir().expect("there is a temporary folder");
    let folder = Folder::prepare(dir.path()).expect("it can be used");
    let lock = folder.lock().expect("it can be locked");
    assert!(lock.is_some() && folder.lock().expect("it can be asked").is_none());
    assert_eq!(folder.owner(), Some(std::process::id().to_string()));
    drop(lock);
    assert!(folder.lock().expect("it can be locked").is_some());
}

#[test]
fn a_url_of_a_server_that_is_gone_is_not_found() {
    let dir = tempfile::tempdir().expect("there is a temporary folder");
    assert_eq!(published(dir.path()), None);
    let folder = Folder::prepare(dir.path()).expect("it can be used");
    let socket = dir.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("it can be bound");
    folder.publish(&socket_url(&socket)).expect("it can be written");
    assert_eq!(published(dir.path()), Some(socket_url(&socket)));
    drop(listener);
    assert_eq!(published(dir.path()), None);
    folder.unpublish();
    assert_eq!(published(dir.path()), None);
}
