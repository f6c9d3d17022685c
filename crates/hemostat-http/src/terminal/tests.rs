//! What people see.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use hemostat_event::{
    ActionKind, ContainerId, ContainerRef, Envelope, Event, EventId, HostName, NotificationKind,
    RemediationVerified, Role, Source, Subject, Timestamp, Verification,
};

use super::*;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails as often as it is told to.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hangs until its other end is dropped, and says when it has begun to.
struct Hanging {
    begun: Sender<()>,
    until: Receiver<()>,
}

impl Write for Hanging {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _gone = self.begun.send(());
        let _dropped = self.until.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_message_is_a_block_of_lines() {
    let paper = Paper::default();
    let terminal = Terminal::writing(paper.clone(), false);
    terminal.deliver(&message("a restart did not help web")).await.expect("written");
    terminal.deliver(&message("again")).await.expect("written");
    let written = String::from_utf8(paper.0.lock().expect("nobody panics").clone()).expect("UTF-8");
    assert_eq!(
        written,
        "2023-11-14 22:13:20 UTC  high     a restart did not help web
    It ended again, with exit code 1.
    Container: web · What to do: hemostat explain 1a2b3c4d
2023-11-14 22:13:20 UTC  high     again
    It ended again, with exit code 1.
    Container: web · What to do: hemostat explain 1a2b3c4d
"
    );
}

#[test]
fn colour_is_around_the_title_and_only_where_it_is_wanted() {
    let coloured = block(&message("a restart did not help web"), true);
    assert!(
        coloured.contains("UTC  \u{1b}[1;31mhigh     a restart did not help web\u{1b}[0m\n"),
        "{coloured:?}"
    );
    assert!(!block(&message("a restart did not help web"), false).contains('\u{1b}'));
}

#[test]
fn what_a_container_wrote_cannot_move_the_cursor() {
    let hostile = "\u{1b}[2J\u{1b}]0;owned\u{7}fine\r\n\u{202e}txt\u{9b}31m";
    let mut message = message(hostile);
    message.text = hostile.to_owned();
    message.fields = vec![(hostile.to_owned(), hostile.to_owned())];
    let block = block(&message, false);
    assert_eq!(block.lines().count(), 3);
    assert!(block.chars().all(|c| c == '\n' || !c.is_control()), "{block:?}");
    assert!(block.contains("[2J]0;ownedfine  txt31m"), "{block:?}");
}

#[tokio::test]
async fn a_closed_terminal_refuses_and_a_full_disk_may_pass() {
    let closed = Terminal::writing(Broken(io::ErrorKind::BrokenPipe), false);
    let error = closed.deliver(&message("t")).await.expect_err("closed");
    assert!(matches!(error, DeliveryError::Refused { channel: Channel::Terminal, .. }), "{error:?}");
    let full = Terminal::writing(Broken(io::ErrorKind::StorageFull), false);
    let error = full.deliver(&message("t")).await.expect_err("full");
    assert!(matches!(error, DeliveryError::Retry { after: None, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_hangs_is_given_up_after_ten_seconds() {
    let (begun, has_begun) = channel();
    let (release, until) = channel();
    let terminal = Terminal::writing(Hanging { begun, until }, false);
    let before = tokio::time::Instant::now();
    let error = terminal.deliver(&message("t")).await.expect_err("nothing is written");
    assert!(matches!(error, DeliveryError::Retry { .. }), "{error:?}");
    assert_eq!(before.elapsed().as_secs(), 10);
    has_begun.recv().expect("the writer has begun");
    // What waits behind it is bounded.
    for _message in 0..QUEUE_MAX {
        assert!(terminal.deliver(&message("t")).await.is_err());
    }
    let before = tokio::time::Instant::now();
    assert!(terminal.deliver(&message("t")).await.is_err());
    assert_eq!(before.elapsed().as_secs(), 0, "no room in the queue");
    drop(release);
}

fn message(title: &str) -> Message {
    let host = HostName::new("h1").expect("a host");
    let subject = Subject::new(&host, "web").expect("a subject");
    let time = Timestamp::from_millis(1_700_000_000_000);
    let id = EventId::observed(&subject, Role::Responder, time, 0);
    let verified = RemediationVerified {
        container: ContainerRef {
            id: ContainerId::new("ab".repeat(32)).expect("an id"),
            name: "web".into(),
            image: "nginx".into(),
            project: None,
            service: None,
        },
        plan: id,
        action: ActionKind::Restart,
        verdict: Verification::NotFixed,
        detail: "it ended again, with exit code 1".into(),
        state: None,
        health: None,
        elapsed_ms: 61_000,
    };
    let envelope = Envelope {
        id,
        source: Source { role: Role::Responder, instance: "r1".into() },
        time,
        host,
        subject: Some(subject),
        incident: None,
        cause: None,
        traceparent: None,
    };
    Message {
        id,
        kind: NotificationKind::NotFixed,
        severity: Severity::High,
        title: title.to_owned(),
        text: "It ended again, with exit code 1.".to_owned(),
        fields: [("Container", "web"), ("What to do", "hemostat explain 1a2b3c4d")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        event: Event { envelope, data: verified.into() },
    }
}
