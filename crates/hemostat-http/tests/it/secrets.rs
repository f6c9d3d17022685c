//! C-1: nothing of an address or a key is ever shown.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex};

use hemostat_agent::notifier::Notifier;
use hemostat_http::{SlackWebhook, Webhook};
use tracing_subscriber::fmt::MakeWriter;

use crate::server::{Server, message, nobody};

const PATH: &str = "/services/T0PATHSECRET/secretword/x?token=querysecret";
const KEY: &str = "whsec_c2lnbmluZ3NlY3JldA==";
/// Parts of path, query, user information and key; the last as text and as bytes.
const SECRETS: [&str; 7] = [
    "T0PATHSECRET",
    "secretword",
    "querysecret",
    "usersecret",
    "passsecret",
    "c2lnbmluZ3NlY3JldA",
    "signingsecret",
];

#[tokio::test]
async fn errors_and_logs_show_nothing_of_address_and_key() {
    let logged = Logged::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(logged.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::info!("the log is being read");

    let location = format!("https://other.example{PATH}");
    let moved = Server::answering(307, &[("location", &location)], "").await;
    let echo = Server::answering(404, &[], &format!("no route for {PATH}")).await;
    let one_word = Server::answering(404, &[], "secretword").await;
    let failing = Server::answering(500, &[], KEY).await;
    let fine = Server::answering(200, &[], "ok").await;

    let with_user = |url: String| url.replace("http://", "http://usersecret:passsecret@");
    let mut shown = String::new();
    for url in
        [nobody(PATH), moved.url(PATH), echo.url(PATH), one_word.url(PATH), failing.url(PATH), fine.url(PATH)]
    {
        let slack = SlackWebhook::new(&with_user(url.clone())).expect("a channel");
        let webhook = Webhook::new(&with_user(url), Some(KEY)).expect("a channel");
        shown += &format!("{slack:?} {webhook:?}\n");
        for channel in [&slack as &dyn Notifier, &webhook] {
            if let Err(error) = channel.deliver(&message()).await {
                shown += &whole(&error);
            }
        }
    }
    assert_eq!(fine.requests().len(), 2, "the user information is no hindrance");
    for url in [format!("http://[{PATH}"), format!("ftp://host{PATH}"), format!("http://host:port{PATH}")] {
        shown += &whole(&SlackWebhook::new(&url).expect_err("no address"));
    }
    shown += &whole(&Webhook::new(&fine.url(PATH), Some("whsec_signingsecret!")).expect_err("no key"));

    let log = logged.text();
    assert!(log.contains("the log is being read"));
    for secret in SECRETS {
        assert!(!shown.contains(secret), "`{secret}` is shown:\n{shown}");
        assert!(!log.contains(secret), "`{secret}` is logged:\n{log}");
    }
    assert!(shown.contains("404 Not Found"), "{shown}");
}

/// An error as it is shown in any way, with its sources.
fn whole(error: &dyn Error) -> String {
    let mut text = format!("{error:?}");
    let mut next = Some(error);
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text + "\n"
}

#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panics").clone()).expect("UTF-8")
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logged {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
