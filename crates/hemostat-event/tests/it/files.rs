//! The committed files that the tests hold the code to.
#![expect(clippy::disallowed_methods, reason = "tests read committed files; the crate itself reads none")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where this crate stands.
pub(crate) fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the schemas stand.
pub(crate) fn schema_dir() -> PathBuf {
    crate_dir().join("../../schemas")
}

/// Whether the person who runs the tests asked for `variable`.
pub(crate) fn asked_for(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == "1")
}

/// The content of a file.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// Writes a file, with its directory where that is missing.
pub(crate) fn write(path: &Path, content: &[u8]) {
    let written = fs::create_dir_all(path.parent().expect("files stand in a directory"))
        .and_then(|()| fs::write(path, content));
    written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// The names in a directory, without the extension `ext`; other extensions and directories are left out.
pub(crate) fn names(dir: &Path, ext: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("cannot read {}: {error}", dir.display()));
    entries
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| path.extension().is_some_and(|found| found == ext))
        .map(|path| path.file_stem().expect("it has an extension").to_str().expect("plain").to_owned())
        .collect()
}

/// Holds `content` to the committed file, or writes the file where `UPDATE_GOLDEN=1` asks for it.
pub(crate) fn assert_golden(path: &Path, content: &str) {
    if asked_for("UPDATE_GOLDEN") {
        return write(path, content.as_bytes());
    }
    let committed = read(path).map(|bytes| String::from_utf8(bytes).expect("golden files are text"));
    assert!(
        committed.as_deref() == Some(content),
        "{} is not what the code says; look whether readers of older versions can live with the change, then run\n\
         \n    UPDATE_GOLDEN=1 cargo test -p hemostat-event\n\nand commit the difference",
        path.display()
    );
}
