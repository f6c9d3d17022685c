use super::*;

fn place(text: &str) -> Result<Place, PlaceError> {
    text.parse()
}

#[test]
fn a_folder_is_a_path_or_a_file_url() {
    assert_eq!(place("/var/archive"), Ok(Place::Folder("/var/archive".into())));
    assert_eq!(place("archive"), Ok(Place::Folder("archive".into())));
    assert_eq!(place("file:///var/archive"), Ok(Place::Folder("/var/archive".into())));
}

#[test]
fn a_bucket_is_a_url_of_its_provider() {
    for (text, provider) in [
        ("s3://bucket/a/folder", Provider::S3),
        ("s3://bucket", Provider::S3),
        ("gs://bucket/folder", Provider::Gcs),
        ("az://container/folder", Provider::Azure),
    ] {
        let Ok(Place::Bucket(Bucket(url, found))) = place(text) else { panic!("{text} is a bucket") };
        assert_eq!((url.as_str(), found), (text, provider));
    }
}

#[test]
fn what_is_no_place_is_refused_with_those_there_are() {
    for text in
        ["", "http://host/folder", "file://host/folder", "s3://", "ftp://host/folder", "s3://bucket/a?b=c"]
    {
        let refused = place(text).expect_err(text).to_string();
        assert!(refused.contains("s3://…, gs://… or az://…"), "{refused}");
    }
    assert!(place("s3://key:secret@bucket/folder").is_err(), "a place is logged");
}

#[test]
fn each_provider_takes_its_settings_from_the_environment() {
    let with = |text: &str, variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        place(text).expect("a bucket").store(variables)
    };
    let s3 =
        with("s3://bucket/folder", &[("AWS_REGION", "eu-central-1"), ("AWS_CONDITIONAL_PUT", "disabled")]);
    let s3 = format!("{:?}", s3.expect("it opens"));
    assert!(s3.contains("eu-central-1") && s3.contains("ETagMatch"), "{s3}");
    with("gs://bucket/folder", &[]).expect("it opens");
    let azure = with("az://container/folder", &[]).expect_err("an account is named nowhere");
    assert!(azure.to_string().to_lowercase().contains("account"), "{azure}");
    with("az://container/folder", &[("AZURE_STORAGE_ACCOUNT_NAME", "account")]).expect("it opens");
}
