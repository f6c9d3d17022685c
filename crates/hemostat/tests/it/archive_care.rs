//! `hemostat archive`: bodies go, entries expire, holds keep them, keys follow each other, and the archive stays provable.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hemostat_agent::log::{FIELD_EVENT, StreamName};
use hemostat_archive::{Body, KeyRing, PublicKey, Reader, Record, Report, Selection, verify};
use hemostat_event::{
    Actor, Change, Command, ContainerChanged, ContainerId, ContainerRef, Data, DeadLetter, Event, EventType,
    Role, codec,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::archiving::{archived, event, open, with_archive};
use crate::rig::{Answer, LIMIT, Process, Rig, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_taken_out_by_an_order_with_the_letter_that_quotes_it() {
    let given = Given::start().await;
    let secret = order(5);
    given.append(&[order(1), secret.clone(), order(7), letter_about(&secret)]).await;
    let archiver = given.archiver();
    given.archived(4).await;
    let id = secret.envelope.id.to_string();
    // A rehearsal tells, and changes nothing.
    let told = given.ask(&["redact", "--event", &id, "--dry-run"]);
    assert!(told.contains("would redact") && told.contains("2 bodies would be taken out"), "{told}");
    assert!(given.taken().await.is_empty());
    let told = given.ask(&["redact", "--event", &id[..8], "--reason", "an address"]);
    assert!(told.contains("2 bodies are taken out") && told.contains("quotes"), "{told}");
    assert!(told.contains("2 of the entries stand in Redis too"), "{told}");
    assert_eq!(given.taken().await, [2, 4]);
    let text =
        |record: &Record| String::from_utf8_lossy(&record.event_bytes().unwrap_or_default()).into_owned();
    assert!(given.records().await.iter().all(|record| !text(record).contains(SECRET)));
    // The order is an event, by somebody and for a reason, and is archived like others.
    given.archived(5).await;
    let orders = given.orders(|command| matches!(command, Command::Redact { .. })).await;
    let [(envelope, said)] = &orders[..] else { panic!("{orders:?}") };
    assert!(said.by.starts_with("tester@") && envelope.subject == secret.envelope.subject, "{said:?}");
    let Command::Redact { events, reason } = &said.command else { panic!("{said:?}") };
    assert!(events.contains(&secret.envelope.id) && events.len() == 2 && reason == "an address");
    assert_eq!(given.clean().await.partitions[0].redactions, 2);
    // Once more: it was done, by that order.
    let told = given.ask(&["redact", "--event", &id, "--reason", "an address", "-o", "json"]);
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line["result"] == "redacted_before"), "{told}");
    assert!(lines.iter().all(|line| line["order"] == envelope.id.to_string()), "{told}");
    assert_eq!(given.orders(|command| matches!(command, Command::Redact { .. })).await.len(), 1);
    // Neither an order itself nor what is not archived yet nor what is nowhere.
    let own = envelope.id.to_string();
    let refused = given.refused(2, &["redact", "--event", &own, "--reason", "no"]);
    assert!(refused.contains("which stays"), "{refused}");
    given.refused(2, &["redact", "--event", "0123456789", "--reason", "no"]);
    drop(archiver);
    let late = order(9);
    given.append(std::slice::from_ref(&late)).await;
    let refused = given.refused(1, &["redact", "--event", &late.envelope.id.to_string(), "--reason", "no"]);
    assert!(refused.contains("not in the archive yet"), "{refused}");
    assert_eq!(given.taken().await, [2, 4]);
}

/// Who died between the order and the archive left the order.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_not_carried_out_is_carried_out_by_a_repetition() {
    let given = Given::start().await;
    let secret = order(5);
    let mut left = event(6);
    if let Data::OperatorCommand(said) = &mut left.data {
        said.command = Command::Redact { events: vec![secret.envelope.id], reason: "an address".to_owned() };
    }
    given.append(&[secret.clone(), left.clone()]).await;
    let _archiver = given.archiver();
    given.archived(2).await;
    let id = secret.envelope.id.to_string();
    let told = given.ask(&["redact", "--event", &id, "--reason", "an address", "-o", "json"]);
    let told: Value = serde_json::from_str(&told).expect("one line");
    assert_eq!((&told["result"], &told["order"]), (&"redacted".into(), &left.envelope.id.to_string().into()));
    assert_eq!(given.taken().await, [1]);
    assert_eq!(given.orders(|command| matches!(command, Command::Redact { .. })).await.len(), 1);
    given.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_neither_goes_nor_expires_until_it_is_released() {
    let given = Given::start().await;
    // Changes of seven containers in turn: two of each.
    let changes: Vec<_> = (0..14).map(change).collect();
    given.append(&changes).await;
    let _archiver = given.archiver();
    given.archived(14).await;
    let about = "test-host/container-3";
    let refused = given.refused(2, &["hold", "add", "--reason", "everything"]);
    assert!(refused.contains("what is to be held"), "{refused}");
    let told = given.ask(&["hold", "add", "--container", about, "--reason", "claim 12", "-o", "json"]);
    let hold: Value = serde_json::from_str(&told).expect("JSON");
    let hold = hold["hold"].as_str().expect("an id").to_owned();
    let listed = given.ask(&["hold", "ls"]);
    assert!(listed.contains(&hold[..8]) && listed.contains("claim 12") && listed.contains(about), "{listed}");
    // A redaction is refused as a whole, and orders nothing.
    let answer = given.run(&["redact", "--container", "container-3", "--reason", "no"]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(answer.out.contains(&hold) && answer.out.contains("not taken out"), "{}", answer.out);
    assert_eq!(
        (given.taken().await.len(), given.orders(|c| matches!(c, Command::Redact { .. })).await.len()),
        (0, 0)
    );
    // Retention goes round it.
    given.expired(12).await;
    let kept: Vec<_> = given.changes().await;
    assert!(kept.len() == 2 && kept.iter().all(|subject| subject == about), "{kept:?}");
    assert_eq!(given.clean().await.holds, 1);
    let told = given.ask(&["hold", "release", &hold[..8], "--reason", "settled"]);
    assert!(told.contains("released"), "{told}");
    assert!(
        given.ask(&["hold", "ls"]).contains("No holds")
            && given.ask(&["hold", "ls", "--all"]).contains(&hold[..8])
    );
    given.refused(2, &["hold", "release", &hold, "--reason", "again"]);
    given.expired(14).await;
    assert!(given.changes().await.is_empty());
    given.archived(16).await;
    let report = given.clean().await;
    assert_eq!((report.holds, report.partitions[0].expired), (0, 14));
    let said = given.orders(|c| matches!(c, Command::Hold { .. } | Command::Release { .. })).await;
    assert_eq!(said.len(), 2, "both are events");
    // Somebody who has no key deletes the statements: the log says that there was a hold.
    fs::remove_dir_all(given.folder.path().join("archive/holds")).expect("it is there");
    let report = given.verify().await;
    assert!(report.findings.iter().any(|finding| finding.kind == hemostat_archive::FindingKind::HoldMissing));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_seals_on_and_the_first_public_key_verifies_all() {
    let given = Given::start().await;
    given.append(&[order(1), order(2)]).await;
    let mut archiver = given.archiver();
    given.archived(2).await;
    let key_file = given.folder.path().join("archive.key");
    let old = fs::read_to_string(&key_file).expect("it is there");
    let told = given.ask(&["rotate-key", "-o", "json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_ne!(fs::read_to_string(&key_file).expect("it is there"), old);
    let kept = format!("{}.{}.old", key_file.display(), told["old"].as_str().expect("an id"));
    assert_eq!(fs::read_to_string(kept).expect("it is there"), old);
    // It goes on with the key it has; whoever revises has the new one already.
    given.append(&[order(3)]).await;
    given.archived(3).await;
    let id = order(3).envelope.id.to_string();
    given.ask(&["redact", "--event", &id, "--reason", "why"]);
    given.archived(4).await;
    assert_eq!(archiver.terminate().0, Some(0), "{:#?}", archiver.said());
    let _archiver = given.archiver();
    given.append(&[order(5)]).await;
    let last = given.archived(5).await;
    assert_eq!(last.key.to_string(), told["new"].as_str().expect("an id"));
    assert_eq!(given.clean().await.keys.len(), 2);
    // Whoever has the old one may not write any more.
    fs::write(&key_file, old).expect("it can be written");
    let refused = given.refused(2, &["rotate-key"]);
    assert!(refused.contains("was sealed by the key"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_removes_what_an_archiver_left_that_died() {
    let given = Given::start().await;
    given.append(&[order(1)]).await;
    let _archiver = given.archiver();
    given.archived(1).await;
    let left = given.folder.path().join("archive/p00000/s0000000002-0123456789abcdef.seg");
    fs::write(&left, "half").expect("it can be written");
    assert!(given.ask(&["sweep"]).contains("0 objects removed"));
    let old = SystemTime::now() - Duration::from_secs(7_200);
    File::options().write(true).open(&left).and_then(|file| file.set_modified(old)).expect("it is there");
    let told = given.ask(&["sweep", "--dry-run"]);
    assert!(told.contains("1 objects would be removed") && left.exists(), "{told}");
    assert!(given.ask(&["sweep"]).contains("1 objects removed"));
    assert!(!left.exists());
    given.clean().await;
}

/// What stands in a body and nowhere else.
const SECRET: &str = "4111 1111 1111 1111";

/// A log and an archive.
struct Given {
    rig: Rig,
    folder: TempDir,
}

impl Given {
    async fn start() -> Self {
        Self { rig: Rig::start().await, folder: tempfile::tempdir().expect("a folder") }
    }

    fn archiver(&self) -> Process {
        Process::start(with_archive(&mut self.rig.command(&["archiver"]), &self.folder))
    }

    async fn append(&self, events: &[Event]) {
        self.rig.log.append(events).await.expect("the log is there");
    }

    async fn archived(&self, seq: u64) -> hemostat_archive::Head {
        archived(self.folder.path(), "all", move |head| head.last_seq == seq).await
    }

    fn run(&self, args: &[&str]) -> Answer {
        let mut command = self.rig.command(&[&["archive"], args].concat());
        run(with_archive(&mut command, &self.folder)
            .env("USER", "tester")
            .env("HEMOSTAT_HOST", "test-host")
            .env("HEMOSTAT_ARCHIVE_KEEP_OBSERVATIONS", "1s"))
    }

    fn ask(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!(answer.code, 0, "{args:?}: {}{}", answer.out, answer.err);
        answer.out
    }

    fn refused(&self, code: i32, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!(answer.code, code, "{args:?}: {}{}", answer.out, answer.err);
        answer.err
    }

    async fn records(&self) -> Vec<Record> {
        let archive = open(self.folder.path());
        let mut reader = Reader::new(&archive, 0, Selection::default()).await.expect("it can be read");
        let mut all = Vec::new();
        while let Some(records) = reader.next().await.expect("it can be read") {
            all.extend(records);
        }
        all
    }

    /// The numbers of the entries whose body was taken out.
    async fn taken(&self) -> Vec<u64> {
        let records = self.records().await;
        let taken = records.iter().filter(|record| matches!(record.body, Body::Taken { .. }));
        taken.map(|record| record.seq).collect()
    }

    /// The containers of the changes that are left.
    async fn changes(&self) -> Vec<String> {
        let records = self.records().await;
        let events = records.iter().filter_map(|record| record.event()?.ok());
        let changes = events.filter(|event| event.event_type() == EventType::ContainerChanged);
        changes.filter_map(|event| event.envelope.subject).map(|subject| subject.to_string()).collect()
    }

    /// Lets expire until so many are expired.
    async fn expired(&self, count: usize) {
        let expire = || async {
            let told = self.ask(&["expire"]);
            let records = self.records().await;
            let leaves = records.iter().filter(|record| matches!(record.body, Body::Leaf(_))).count();
            assert!(leaves <= count, "{leaves} of {count} are expired: {told}");
            (leaves == count).then_some(())
        };
        hemostat_docker::testing::eventually("what is due has expired", LIMIT, expire).await;
    }

    /// The orders in the log.
    async fn orders(
        &self,
        wanted: impl Fn(&Command) -> bool,
    ) -> Vec<(hemostat_event::Envelope, hemostat_event::OperatorCommand)> {
        let order = |event: Event| match event.data {
            Data::OperatorCommand(order) if wanted(&order.command) => Some((event.envelope, order)),
            _ => None,
        };
        self.rig.events().await.into_iter().filter_map(|(_, event)| order(event)).collect()
    }

    async fn verify(&self) -> Report {
        let key = public_key(&self.folder.path().join("archive.key.pub"));
        let archive = open(self.folder.path());
        verify(&archive, KeyRing::of(key), None, &mut |_progress| {}).await.expect("it can be read")
    }

    /// Holds that nothing is wrong.
    async fn clean(&self) -> Report {
        let report = self.verify().await;
        assert_eq!(report.findings, []);
        report
    }
}

/// The first public key: it stays where it is.
fn public_key(path: &Path) -> PublicKey {
    PublicKey::from_pem(&fs::read_to_string(path).expect("it is there")).expect("a key")
}

/// An order with something in it that nobody should read.
fn order(n: u64) -> Event {
    let mut order = event(n);
    if let Data::OperatorCommand(said) = &mut order.data {
        said.command = Command::Deny { plan: order.envelope.id, reason: format!("{SECRET} of {n}") };
        said.command = match n {
            5 => said.command.clone(),
            _ => Command::Deny { plan: order.envelope.id, reason: "no reason".to_owned() },
        };
    }
    order
}

/// A container that was started.
fn change(n: u64) -> Event {
    let mut change = event(n);
    let name = change.envelope.subject.as_ref().expect("a container").name().to_owned();
    let id = ContainerId::new("0123456789ab").expect("an id");
    let container = ContainerRef { id, name, image: "web:1".to_owned(), project: None, service: None };
    let at = change.envelope.time;
    change.data = ContainerChanged { container, change: Change::Started, by: Actor::Engine, at }.into();
    change
}

/// The letter of a group that gave up on an event; it quotes all of it.
fn letter_about(original: &Event) -> Event {
    let mut letter = event(1_000);
    letter.envelope.subject = original.envelope.subject.clone();
    let text: String = codec::encode(original).iter().map(|byte| format!("{byte:02x}")).collect();
    letter.data = DeadLetter {
        group: Role::Analyzer,
        stream: StreamName::of(original).to_string(),
        entry: "1-0".to_owned(),
        event: Some(original.envelope.id),
        incident: None,
        attempts: 5,
        errors: vec!["it failed".to_owned()],
        original: [(FIELD_EVENT.to_owned(), text)].into(),
    }
    .into();
    letter
}
