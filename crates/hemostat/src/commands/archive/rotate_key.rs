//! `hemostat archive rotate-key`.
//!
//! The new key is made beside the old one, then the old one states in the archive that it follows, and then it takes its
//! place by one renaming. Whoever dies between goes on where it was: the key that is there already is taken.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use clap::Args;
use hemostat_archive::{Archive, PrivateKey};
use serde_json::json;

use crate::cli::{Output, OutputArgs};
use crate::commands::archiver::{beside, make};
use crate::config::Config;
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// `hemostat archive rotate-key`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hemostat archive rotate-key

The old private key stays beside the new one, under its name with `.old`; destroy it when no archiver uses it any more.
Verification takes the *first* public key as before: each later one is believed because the one before it says so.
An archiver that runs changes to the new key within an hour, or when it begins anew, where it can read the file; give
the new key to archivers on other hosts.")]
pub(crate) struct RotateKeyArgs {
    /// Form of the output.
    #[command(flatten)]
    output: OutputArgs,
}

/// Rotates the key.
///
/// # Errors
/// Exit 2 for a key that is not the archive's or has a successor already, 3 when the archive is out of reach, 1 when the
/// new key cannot be put in place; a repetition goes on then.
pub(super) async fn run(config: &Config, args: &RotateKeyArgs) -> Result<(), Failure> {
    let archive = super::open(config).await?;
    let (old, path) = super::key(config, &archive).await?;
    let new = rotate(&archive, &old, &path).await?;
    let (old_id, new_id) = (old.public().id(), new.public().id());
    match args.output.output {
        Output::Json => show::json(&json!({
            "old": old_id, "new": new_id, "key_file": path, "public_key_file": public_file(&path, &new),
        })),
        Output::Table => show::line(&format!(
            "the key {new_id} follows {old_id}\n  in place  {}\n  public    {}\n  old       {}\nVerify with the first public \
             key, as before. An archiver that runs changes to the new key within an hour.",
            path.display(),
            public_file(&path, &new).display(),
            old_file(&path, &old).display(),
        )),
    }
}

async fn rotate(archive: &Archive, old: &PrivateKey, path: &Path) -> Result<PrivateKey, Failure> {
    let next = beside(path, ".next");
    if !next.exists() {
        make(&next).with_context(|| format!("failed to make `{}`", next.display()))?;
    }
    let pem = fs::read_to_string(&next).with_context(|| format!("failed to read `{}`", next.display()))?;
    let new = PrivateKey::from_pem(&pem).with_context(|| format!("`{}`", next.display())).or_usage()?;
    for told in archive.successions().await.or_unreachable()? {
        let told = told.statement;
        if told.predecessor == old.public().id() && told.successor != new.public() {
            return Err(Failure::Usage(anyhow!(
                "the key {} has a successor already, {}; put that one in place",
                told.predecessor,
                told.successor.id()
            )));
        }
    }
    archive
        .succeed(new.public(), old)
        .await
        .context("failed to state that the key follows")
        .or_unreachable()?;
    put_in_place(path, &next, old, &new).with_context(|| {
        format!("the key {} follows, and cannot be put in place of `{}`", new.public().id(), path.display())
    })?;
    Ok(new)
}

/// Keeps the old key under its name and moves the new one to its place.
fn put_in_place(path: &Path, next: &Path, old: &PrivateKey, new: &PrivateKey) -> std::io::Result<()> {
    fs::write(public_file(path, new), new.public().to_pem())?;
    match fs::hard_link(path, old_file(path, old)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _linked => {}
    }
    fs::rename(next, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn old_file(path: &Path, key: &PrivateKey) -> std::path::PathBuf {
    beside(path, &format!(".{}.old", key.public().id()))
}

fn public_file(path: &Path, key: &PrivateKey) -> std::path::PathBuf {
    beside(path, &format!(".{}.pub", key.public().id()))
}

#[cfg(test)]
mod tests {
    use hemostat_archive::Place;

    use super::*;

    #[tokio::test]
    async fn a_rotation_that_was_interrupted_goes_on_with_the_same_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = Archive::open(&Place::Folder(folder.path().join("archive"))).expect("it opens");
        let path = folder.path().join("archive.key");
        make(&path).expect("it is made");
        let read = |path: &Path| {
            PrivateKey::from_pem(&fs::read_to_string(path).expect("it is there")).expect("a key")
        };
        let old = read(&path);
        // It died when the new key was made and stated, and before it was put in place.
        make(&beside(&path, ".next")).expect("it is made");
        let next = read(&beside(&path, ".next"));
        archive.succeed(next.public(), &old).await.expect("it is stated");
        let new = rotate(&archive, &old, &path).await.expect("it goes on");
        assert_eq!(new.public(), next.public());
        assert_eq!(archive.successions().await.expect("they can be read").len(), 1);
        assert_eq!(read(&path).public(), new.public());
        assert_eq!(read(&old_file(&path, &old)).public(), old.public());
        assert!(!beside(&path, ".next").exists());
        // Whoever still has the old key is told which one follows it.
        let refused = rotate(&archive, &old, &path).await.expect_err("it has a successor");
        assert!(refused.to_string().contains(&new.public().id().to_string()), "{refused}");
        assert_eq!(read(&path).public(), new.public());
    }
}
