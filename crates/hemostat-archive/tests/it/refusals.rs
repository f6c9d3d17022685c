//! What a bucket that cannot be used says: what is wrong and what to do.

use std::collections::BTreeMap;
use std::error::Error;

use hemostat_agent::log::EntryId;
use hemostat_archive::{Archive, ArchiveError, Place, PrivateKey, Record, Sealer};

use crate::bucket::{Bucket, OWNER, STRANGER, open};

#[tokio::test]
async fn a_bucket_that_is_not_there() {
    let bucket = Bucket::start().await;
    let said = refusal(open("s3://other/folder", &bucket.endpoint, OWNER).unwrap()).await;
    assert!(said.contains("there is no such bucket; make it"), "{said}");
}

#[tokio::test]
async fn a_key_that_may_not() {
    let bucket = Bucket::start().await;
    let said = refusal(open("s3://bucket/folder", &bucket.endpoint, STRANGER).unwrap()).await;
    assert!(said.contains("access is denied; check the credentials"), "{said}");
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let gone = Bucket::start().await.endpoint.clone();
    let said = refusal(open("s3://bucket/folder", &gone, OWNER).unwrap()).await;
    assert!(said.contains("cannot be reached") && said.contains("AWS_ENDPOINT_URL"), "{said}");
}

#[tokio::test]
async fn no_credentials_anywhere() {
    // Where a virtual machine would ask for some, there is nobody.
    let gone = Bucket::start().await.endpoint.clone();
    let place: Place = "s3://bucket/folder".parse().unwrap();
    let variables = [("AWS_METADATA_ENDPOINT".to_owned(), gone)];
    let said = refusal(Archive::open_with(&place, variables).unwrap()).await;
    assert!(said.contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{said}");
}

#[tokio::test]
async fn plain_http_that_nobody_allowed() {
    let bucket = Bucket::start().await;
    let place: Place = "s3://bucket/folder".parse().unwrap();
    let variables = [
        ("AWS_ENDPOINT_URL", bucket.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", OWNER),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    refusal(Archive::open_with(&place, variables).unwrap()).await;
    assert!(bucket.requests().is_empty(), "nothing was sent in the clear");
}

#[tokio::test]
async fn a_store_that_writes_over_is_found_out_at_the_first_segment() {
    let bucket = Bucket::that_writes_over().await;
    let (archive, key) = (bucket.open("folder"), PrivateKey::generate());
    let mut sealer = Sealer::new(0, None);
    let fields = [("seq", "1"), ("event", "bytes")];
    sealer.push(
        &Record::read("health_alert".parse().unwrap(), EntryId { ms: 1, n: 0 }, &fields, [7; 16]).unwrap(),
    );
    let sealed = sealer.seal(&key, BTreeMap::new(), 0, "test").unwrap();
    let refused = archive.publish(sealed.object, &sealed.head, &key).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::WritesOver), "{refused}");
    // A statement is made once, as a head is.
    let refused = archive.succeed(PrivateKey::generate().public(), &key).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::WritesOver), "{refused}");
}

/// What the first request says, with all its causes.
async fn refusal(archive: Archive) -> String {
    let error = archive.reach().await.expect_err("it cannot be used");
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said += &format!(": {error}");
        cause = error.source();
    }
    said
}
