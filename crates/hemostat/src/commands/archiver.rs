//! `hemostat archiver`, and what `up` needs of it: the archive of the configuration and the key that seals it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use hemostat_agent::log::EventLog;
use hemostat_archive::{Archive, Place, PrivateKey};
use hemostat_event::Role;

use super::run_agents;
use crate::agents::Sealing;
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure as _};

/// What says where the archive is.
pub(super) const SETTING: &str = "archive.url (HEMOSTAT_ARCHIVE_URL)";

/// Runs the archiver as a process of its own.
///
/// # Errors
/// Exit 2 when the key cannot be used, 3 when the log or the archive is out of reach at the start; later losses are
/// waited out.
pub(crate) async fn run(config: Config) -> Result<(), Failure> {
    let stop = run_agents::stop_on_signal()?;
    let sealing = open(&config).await?;
    let log = connect::log(&config).await?;
    connect::refuse_shadow(&log).await?;
    let log: Arc<dyn EventLog> = Arc::new(log);
    let host = connect::own_host(&config);
    let mut shared = run_agents::share(config, log, None, host);
    shared.sealing = Some(sealing);
    run_agents::run(&shared, &[Role::Archiver], stop).await
}

/// Opens the archive, and reads the key or makes one.
///
/// # Errors
/// Exit 2 when the key cannot be used, 3 when the folder or bucket cannot be.
pub(crate) async fn open(config: &Config) -> Result<Sealing, Failure> {
    let (place, key_file) = (place(config)?, key_file(config)?);
    let key = read_or_make(&key_file).or_usage()?;
    let archive = reach(&place).await.context(SETTING).or_unreachable()?;
    tracing::info!(%place, key = %key.public().id(), "the archive is open");
    Ok(Sealing { archive, key: Arc::new(key), key_file })
}

/// Opens the archive in `place`, and asks it for the first time.
///
/// # Errors
/// When the folder or bucket cannot be used.
pub(crate) async fn reach(place: &Place) -> anyhow::Result<Archive> {
    let named = || format!("the archive in {place}");
    let archive = Archive::open(place).with_context(named)?;
    archive.reach().await.with_context(named)?;
    Ok(archive)
}

/// Where the archive is.
///
/// # Errors
/// Exit 2 when nothing says where it could be.
pub(crate) fn place(config: &Config) -> Result<Place, Failure> {
    match &config.archive.url {
        Some(place) => Ok(place.clone()),
        None => Ok(Place::Folder(connect::data_dir(config)?.join("archive"))),
    }
}

/// Where its key is.
///
/// # Errors
/// Exit 2 when nothing says where it could be.
pub(crate) fn key_file(config: &Config) -> Result<PathBuf, Failure> {
    match &config.archive.key_file {
        Some(path) => Ok(path.clone()),
        None => Ok(connect::data_dir(config)?.join("archive.key")),
    }
}

/// The key in this file. Where there is none it is made, and the public half beside it as `.pub`, for those who check
/// the archive.
fn read_or_make(path: &Path) -> anyhow::Result<PrivateKey> {
    let named = || format!("the key of the archive, `{}` (archive.key_file)", path.display());
    let pem = match fs::read_to_string(path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(path).with_context(|| format!("failed to make {}", named()))?;
            fs::read_to_string(path).with_context(|| format!("failed to read {}", named()))?
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", named())),
    };
    let key = PrivateKey::from_pem(&pem).with_context(named)?;
    let public = beside(path, ".pub");
    if !public.exists() {
        fs::write(&public, key.public().to_pem())
            .with_context(|| format!("failed to write `{}`", public.display()))?;
    }
    Ok(key)
}

/// Makes a key that only its owner can read. It appears whole; of two that make one at once, the first remains.
pub(super) fn make(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = beside(path, &format!(".{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(PrivateKey::generate().to_pem().as_bytes())?;
    file.sync_all()?;
    let made = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The same path with more at its end.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_only_with_its_public_half() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys/archive.key");
        let key = read_or_make(&path).expect("it is made");
        assert_eq!(read_or_make(&path).expect("it is read").public(), key.public());
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        let public = fs::read_to_string(folder.path().join("keys/archive.key.pub")).expect("it is there");
        assert_eq!(public, key.public().to_pem());
        assert_eq!(fs::read_dir(folder.path().join("keys")).expect("a folder").count(), 2);
    }

    #[test]
    fn what_is_no_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("archive.key");
        fs::write(&path, "something else").expect("it can be written");
        let error = format!("{:#}", read_or_make(&path).expect_err("it is no key"));
        assert!(error.contains("archive.key_file") && error.contains("private key"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "something else");
    }
}
