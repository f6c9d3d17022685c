//! Runs the binary on an archive of the story.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::story::Story;

/// An archive of the story.
pub(super) struct Rig {
    pub(super) folder: tempfile::TempDir,
    pub(super) story: Story,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::of(Story::told())
    }

    pub(super) fn of(story: Story) -> Self {
        let folder = tempfile::tempdir().unwrap();
        story.archive(&folder.path().join("archive"));
        Self { folder, story }
    }

    pub(super) fn archive(&self, arguments: &[&str]) -> Output {
        let archive: PathBuf = self.folder.path().join("archive");
        replay(&[&["--archive", text(&archive)], arguments].concat())
    }
}

pub(super) fn on_file(file: &Path, arguments: &[&str]) -> Output {
    replay(&[&["--file", text(file)], arguments].concat())
}

pub(super) fn replay(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hemostat-replay"));
    for name in ["HEMOSTAT_ARCHIVE_URL", "HEMOSTAT_REDIS_URL", "HEMOSTAT_REDIS_NAMESPACE"] {
        command.env_remove(name);
    }
    command.args(arguments).output().unwrap()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(super) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(super) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(super) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(super) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

pub(super) fn lines(output: &Output) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    out(output).lines().map(read).collect()
}
