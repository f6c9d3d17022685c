//! A lab leaves nothing behind.

use hemostat_agent::containers::{Containers as _, EngineError};
use hemostat_docker::testing::{IDLE, Lab};
use hemostat_event::ContainerId;

#[tokio::test]
async fn a_lab_that_is_cleaned_up_leaves_neither_container_nor_image() {
    let lab = Lab::start().await.expect("a lab");
    let (engine, image) = (lab.engine(), lab.image().to_owned());
    let id = lab.run("idle", IDLE, |_| {}).await.expect("a container");
    let name = image.trim_end_matches(":1").to_owned();
    let labelled = engine.containers_with_label("hemostat.lab").await.expect("a list");
    assert!(labelled.contains(&(id.clone(), name.clone())), "{labelled:?}");
    let has_image = async || {
        let images = engine.images_with_label("hemostat.lab").await.expect("a list");
        images.iter().any(|(_, of)| *of == name)
    };
    assert!(has_image().await);
    lab.cleanup().await.expect("it can be cleaned up");
    assert!(is_gone(&engine.inspect(&id).await.map(drop)));
    assert!(!has_image().await);
}

#[tokio::test]
async fn a_lab_of_a_test_that_fails_is_cleaned_up_all_the_same() {
    let engine = Lab::start().await.expect("a lab").engine();
    let failing = tokio::spawn(async {
        let lab = Lab::start().await.expect("a lab");
        let id: ContainerId = lab.run("idle", IDLE, |_| {}).await.expect("a container");
        std::panic::panic_any(id);
    });
    let id =
        failing.await.expect_err("it fails").into_panic().downcast::<ContainerId>().expect("its container");
    assert!(is_gone(&engine.inspect(&id).await.map(drop)));
}

fn is_gone(answer: &Result<(), EngineError>) -> bool {
    matches!(answer, Err(EngineError::NotFound(_)))
}
