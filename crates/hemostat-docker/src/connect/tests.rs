use std::os::unix::net::UnixListener;

use bollard::API_DEFAULT_VERSION;
use tempfile::TempDir;

use super::*;
use crate::fake::{self, FakeEngine, Reply};

#[test]
fn addresses_are_read_as_docker_reads_them() {
    for (text, endpoint) in [
        (
            "unix:///run/user/1000/podman/podman.sock",
            Some(Endpoint::Unix("/run/user/1000/podman/podman.sock".into())),
        ),
        ("/var/run/docker.sock", Some(Endpoint::Unix("/var/run/docker.sock".into()))),
        ("tcp://10.0.0.1:2375", Some(Endpoint::Http("10.0.0.1:2375".into()))),
        ("http://proxy:2375/", Some(Endpoint::Http("proxy:2375".into()))),
        ("unix://docker.sock", None),
        ("tcp://", None),
        ("ssh://me@host", None),
        ("https://host:2376", None),
        ("npipe:////./pipe/docker_engine", None),
        ("", None),
    ] {
        let read = Endpoint::parse(text);
        assert_eq!(read.as_ref().ok(), endpoint.as_ref(), "{text}");
        if let Err(problem) = read {
            assert!(matches!(problem, ConnectProblem::Address { .. }), "{text}: {problem}");
        }
    }
}

#[test]
fn a_wrong_address_is_said_before_anything_is_asked() {
    let error = Connection::new(at("ssh://me@host")).expect_err("it is no address we can use");
    assert!(
        matches!(&error, EngineError::Unreachable { endpoint, .. } if endpoint == "ssh://me@host"),
        "{error}"
    );
    assert!(help(&error).is_some_and(|help| help.contains("unix:///path")), "{error}");
}

#[test]
fn the_newest_version_that_both_know_is_agreed_on() {
    let newest_known = Version(API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
    for (api, api_min, agreed) in [
        ("1.41", "1.12", Version(1, 41)),
        ("1.44", "1.24", Version(1, 44)),
        ("1.999", "1.44", newest_known),
        // Podman may say nothing of an oldest one.
        ("1.41", "", Version(1, 41)),
    ] {
        assert_eq!(offer(api, api_min).agree().ok(), Some(agreed), "{api} from {api_min}");
    }
}

#[test]
fn an_engine_that_is_too_old_or_too_new_is_told_apart() {
    for api in ["1.40", "1.9", "0.99", "", "newest"] {
        let problem = offer(api, "1.12").agree().expect_err("too old");
        assert!(matches!(&problem, ConnectProblem::TooOld { api: of } if of == api), "{api}: {problem}");
    }
    let problem = offer("1.999", "1.998").agree().expect_err("too new");
    assert!(matches!(&problem, ConnectProblem::TooNew { api_min } if api_min == "1.998"), "{problem}");
}

#[test]
fn podman_is_told_by_its_components() {
    let read = |answer: &str| serde_json::from_str::<Offer>(answer).expect("an offer").name();
    assert_eq!(read(r#"{"Components":[{"Name":"Podman Engine","Version":"5.4.0","Details":{}}]}"#), "podman");
    assert_eq!(
        read(r#"{"Components":[{"Name":"Engine","Version":"20.10.24"},{"Name":"containerd"}]}"#),
        "docker"
    );
    assert_eq!(read(r#"{"Components":null}"#), "docker");
}

#[test]
fn every_cause_in_the_depth_of_an_error_is_found() {
    let of_kind = |kind: io::ErrorKind| problem(BollardError::from(io::Error::from(kind)));
    assert!(matches!(of_kind(io::ErrorKind::PermissionDenied), ConnectProblem::PermissionDenied));
    assert!(matches!(of_kind(io::ErrorKind::ConnectionRefused), ConnectProblem::NotListening));
    assert!(matches!(of_kind(io::ErrorKind::NotFound), ConnectProblem::NoSocket));
    assert!(matches!(of_kind(io::ErrorKind::BrokenPipe), ConnectProblem::Broken(_)));
    assert!(matches!(problem(BollardError::SocketNotFoundError("/x".into())), ConnectProblem::NoSocket));
}

#[test]
fn every_problem_that_a_person_can_solve_says_how() {
    for problem in [
        ConnectProblem::NoSocket,
        ConnectProblem::PermissionDenied,
        ConnectProblem::NotListening,
        ConnectProblem::TooOld { api: "1.40".into() },
        ConnectProblem::TooNew { api_min: "1.998".into() },
        ConnectProblem::Address { address: "ssh://x".into() },
    ] {
        let advice = problem.help();
        assert!(!advice.is_empty() && problem.to_string().ends_with(advice), "{problem}");
        assert_eq!(help(&unreachable("x".into(), problem)), Some(advice));
    }
    let broken = ConnectProblem::Broken(BollardError::RequestTimeoutError);
    assert_eq!(help(&unreachable("x".into(), broken)), None);
}

#[tokio::test]
async fn a_place_without_a_socket_is_said_to_have_none() {
    let folder = TempDir::new().expect("a folder");
    let connection = connection([folder.path().join("none.sock").display().to_string()]);
    assert!(matches!(problem_of(&connection).await, ConnectProblem::NoSocket));
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_said_to_be_one() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("left.sock");
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(matches!(
        problem_of(&connection([path.display().to_string()])).await,
        ConnectProblem::NotListening
    ));
    // The same over TCP: a port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = format!("tcp://{}", port.expect("a port"));
    assert!(matches!(problem_of(&connection([address])).await, ConnectProblem::NotListening));
}

#[tokio::test]
async fn the_first_place_that_answers_is_taken() {
    let folder = TempDir::new().expect("a folder");
    let none = folder.path().join("none.sock").display().to_string();
    let engine = FakeEngine::start(|_| fake::version("1.43", "1.24"));
    let connection = connection([none, engine.host()]);
    let agreed = connection.agreed().await.expect("the second answers");
    assert_eq!(
        (agreed.api_version.as_str(), agreed.endpoint),
        ("1.43", engine.socket().display().to_string())
    );
    connection.agreed().await.expect("it is known");
    assert_eq!(engine.asked(), ["/version"], "an engine is asked once");
    connection.forget();
    connection.agreed().await.expect("it is still there");
    assert_eq!(engine.asked().len(), 2, "a forgotten engine is asked again");
}

#[tokio::test]
async fn an_engine_that_says_no_explains_more_than_a_place_without_one() {
    let folder = TempDir::new().expect("a folder");
    let none = folder.path().join("none.sock").display().to_string();
    let engine = FakeEngine::start(|_| fake::version("1.38", "1.12"));
    for places in [[none.clone(), engine.host()], [engine.host(), none]] {
        assert!(matches!(problem_of(&connection(places)).await, ConnectProblem::TooOld { .. }));
    }
}

#[tokio::test]
async fn whoever_answers_nonsense_is_no_engine() {
    let engine = FakeEngine::start(|_| fake::ok("<html>It works!</html>"));
    assert!(matches!(problem_of(&connection([engine.host()])).await, ConnectProblem::Broken(_)));
    let engine = FakeEngine::start(|_| Reply::Whole(404, "page not found".to_owned()));
    assert!(matches!(problem_of(&connection([engine.host()])).await, ConnectProblem::Broken(_)));
}

fn at(host: &str) -> EngineSettings {
    EngineSettings { host: Some(host.to_owned()), ..EngineSettings::default() }
}

fn offer(api: &str, api_min: &str) -> Offer {
    Offer { api_version: Some(api.to_owned()), min_api_version: Some(api_min.to_owned()), components: None }
}

fn connection(places: impl IntoIterator<Item = String>) -> Connection {
    let endpoints = places.into_iter().map(|place| Endpoint::parse(&place).expect("an address")).collect();
    Connection { endpoints, agreed: Mutex::new(None) }
}

async fn problem_of(connection: &Connection) -> ConnectProblem {
    match connection.agreed().await {
        Err(EngineError::Unreachable { source, .. }) => *source.downcast().expect("a problem of ours"),
        other => panic!("expected an unreachable engine, not {other:?}"),
    }
}
