//! `hemostat-replay verify`: exit codes and words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hemostat_agent::log::EntryId;
use hemostat_archive::{Archive, Place, PrivateKey, Record, Sealer};

#[tokio::test]
async fn an_archive_is_clean_until_somebody_edits_it() {
    let made = Made::new().await;
    let output = made.verify(&["-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["clean"], true);
    assert_eq!(report["partitions"][0]["events"], 30);
    assert_eq!(report["partitions"][0]["losses"][0]["first_seq"], 16);
    assert!(output.stderr.is_empty(), "no progress where there is no terminal: {output:?}");

    let object = made.file("s0000000002-");
    let mut bytes = std::fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&object, bytes).unwrap();
    let output = made.verify(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = words(&output);
    assert!(text.contains("object edited") && text.contains("segment 2"), "{text}");
    assert!(text.contains("lost before it was sealed: entries 16 to 17"), "{text}");
}

#[tokio::test]
async fn a_terminal_shows_how_far_it_is_and_then_only_the_report() {
    let made = Made::new().await;
    let to = made.folder.path().join("export");
    let (program, archive) = (env!("CARGO_BIN_EXE_hemostat-replay"), made.archive());
    let (archive, key, to) = (archive.display(), made.key.display(), to.display());
    let on_a_terminal = |line: String| {
        // Of util-linux: runs a command under a terminal of its own.
        let output = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = on_a_terminal(format!("{program} --archive {archive} verify --key {key}"));
    let (bar, report) = shown.rsplit_once("\u{1b}[2K").unwrap_or_else(|| panic!("{shown:?}"));
    assert!(bar.contains(" of ") && bar.contains("/s"), "{bar:?}");
    assert!(
        report.contains("nothing found: 30 events in 3 segments") && !report.contains("/s,"),
        "{report:?}"
    );
    let quiet = on_a_terminal(format!("{program} --archive {archive} verify --key {key} 2>/dev/null"));
    assert!(quiet.starts_with("partition 0"), "{quiet:?}");

    let shown = on_a_terminal(format!("{program} --archive {archive} export --to {to} --format jsonl"));
    assert!(shown.contains("\r0 entries") || shown.contains("\r30 entries"), "{shown:?}");
}

#[tokio::test]
async fn an_end_that_was_cut_off_is_found_and_with_its_tip_by_the_witness() {
    let made = Made::new().await;
    let witness = made.folder.path().join("witness");
    let with_witness = ["--witness", witness.to_str().unwrap()];
    assert_eq!(made.verify(&with_witness).status.code(), Some(0));
    assert_eq!(made.verify(&with_witness).status.code(), Some(0));
    let seen = std::fs::read_to_string(&witness).unwrap();
    assert_eq!(seen.lines().count(), 1, "the same tip is not added twice");

    std::fs::remove_file(made.file("s0000000003-")).unwrap();
    std::fs::remove_file(made.file("s0000000003.r000")).unwrap();
    let output = made.verify(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(words(&output).contains("end missing"), "{output:?}");

    std::fs::write(made.file("tip.json"), &made.tips[1]).unwrap();
    assert_eq!(made.verify(&[]).status.code(), Some(0));
    let output = made.verify(&with_witness);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(words(&output).contains("rolled back"), "{output:?}");
    assert_eq!(std::fs::read_to_string(&witness).unwrap(), seen, "nothing is added to it then");
}

#[tokio::test]
async fn what_cannot_be_verified_is_no_finding() {
    let made = Made::new().await;
    let run = |args: &[&str]| {
        let output = binary().args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let key = made.key.to_str().unwrap();
    let (code, text) = run(&["verify", "--archive", made.archive().to_str().unwrap()]);
    assert!(code == Some(2) && text.contains("--key"), "{text}");
    let (code, text) = run(&["verify", "--key", key]);
    assert!(code == Some(2) && text.contains("--archive"), "{text}");
    let elsewhere = made.folder.path().join("elsewhere");
    let (code, text) = run(&["verify", "--key", key, "--archive", elsewhere.to_str().unwrap()]);
    assert!(code == Some(3) && text.contains("there is no archive"), "{text}");
    assert!(!elsewhere.exists());
}

/// An archive of three segments in a folder, and what its tips were.
struct Made {
    folder: tempfile::TempDir,
    key: PathBuf,
    tips: Vec<Vec<u8>>,
}

impl Made {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (secret, key) = (PrivateKey::generate(), folder.path().join("archive.pub"));
        std::fs::write(&key, secret.public().to_pem()).unwrap();
        let mut made = Self { folder, key, tips: Vec::new() };
        let archive = Archive::open(&Place::Folder(made.archive())).unwrap();
        let mut sealer = Sealer::new(0, None);
        for numbers in [1..=10, 11..=22, 23..=32] {
            // 16 and 17 were lost.
            numbers.filter(|seq| !(16..=17).contains(seq)).for_each(|seq| sealer.push(&record(seq)));
            let sealed = sealer.seal(&secret, BTreeMap::new(), 0, "test").unwrap();
            assert!(archive.publish(sealed.object, &sealed.head, &secret).await.unwrap());
            sealer.published(sealed.head);
            made.tips.push(std::fs::read(made.file("tip.json")).unwrap());
        }
        made
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    /// The file of partition 0 whose name begins so.
    fn file(&self, begin: &str) -> PathBuf {
        let files = std::fs::read_dir(self.archive().join("p00000")).unwrap();
        let begins = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with(begin);
        files.map(|file| file.unwrap().path()).find(|path| begins(path)).unwrap()
    }

    fn verify(&self, args: &[&str]) -> Output {
        let mut command = binary();
        command.arg("verify").arg("--archive").arg(self.archive()).arg("--key").arg(&self.key);
        command.args(args).output().unwrap()
    }
}

/// The binary, without what the environment says.
fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hemostat-replay"));
    command.env_remove("HEMOSTAT_ARCHIVE_URL").env_remove("HEMOSTAT_REDIS_URL");
    command.env_remove("HEMOSTAT_ARCHIVE_PUBLIC_KEY_FILE");
    command
}

/// The output in one line: how the table breaks is no matter here.
fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn record(seq: u64) -> Record {
    let id = EntryId { ms: 1_700_000_000_000 + seq, n: 0 };
    let fields = [("seq", seq.to_string().into_bytes()), ("event", format!("event {seq}").into_bytes())];
    Record::read("health_alert".parse().unwrap(), id, &fields, [7; 16]).unwrap()
}
