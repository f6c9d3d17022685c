//! Makes an image from nothing but one static binary, without any registry.
//!
//! The result is an archive in the format of `docker save` (`manifest.json`, the configuration, one layer), which
//! Docker and Podman load. It is a function of its input: the same binary and settings give the same bytes, hence
//! the same image id.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

#[cfg(test)]
mod tests;

/// What the image is to be.
#[derive(Debug, Clone)]
pub struct ScratchImage<'a> {
    /// Name and tag: `hemostat-demo:1`.
    pub reference: &'a str,
    /// A statically linked executable for the engine's architecture.
    pub binary: &'a [u8],
    /// Where it lies in the image, from the root: `/bin/hemostat`.
    pub path: &'a str,
    /// Symbolic links to it, from the root: `/bin/sh` for busybox.
    pub links: &'a [&'a str],
    /// What every container runs; the container's command is appended.
    pub entrypoint: &'a [&'a str],
    /// The command of containers that have none of their own.
    pub cmd: &'a [&'a str],
    /// The health check of containers that have none of their own.
    pub health: Option<HealthCheck>,
    /// Labels of the image and of every container made from it.
    pub labels: &'a [(&'a str, &'a str)],
}

/// Why a binary cannot be the only file of an image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAlone {
    /// It is not an executable of Linux.
    #[error("it is not an ELF executable of 64 bit")]
    NotElf,
    /// It names a loader that has to be there to start it.
    #[error("it is linked dynamically and needs the loader `{loader}`")]
    Dynamic {
        /// Path of the loader.
        loader: String,
    },
}

/// Makes sure that a binary starts without any other file: an ELF executable that asks for no loader.
///
/// # Errors
/// [`NotAlone`] says why it does not.
pub fn check_static(binary: &[u8]) -> Result<(), NotAlone> {
    // elf(5): 64 bit, little-endian; the program headers' place, entry size and number are at 32, 54 and 56.
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let mut digits = binary.get(at..at.checked_add(bytes)?)?.iter().rev();
        digits.try_fold(0usize, |number, digit| number.checked_mul(256)?.checked_add(usize::from(*digit)))
    };
    if binary.get(..6) != Some(b"\x7fELF\x02\x01".as_slice()) {
        return Err(NotAlone::NotElf);
    }
    let table = number(32, 8).zip(number(54, 2)).zip(number(56, 2)).ok_or(NotAlone::NotElf)?;
    let ((place, size), count) = table;
    for entry in 0..count {
        let header =
            entry.checked_mul(size).and_then(|skip| place.checked_add(skip)).ok_or(NotAlone::NotElf)?;
        if number(header, 4).ok_or(NotAlone::NotElf)? != PT_INTERP {
            continue;
        }
        let path = number(header + 8, 8).zip(number(header + 32, 8));
        let path = path.and_then(|(from, length)| binary.get(from..from.checked_add(length)?));
        let loader = String::from_utf8_lossy(path.unwrap_or_default()).trim_end_matches('\0').to_owned();
        return Err(NotAlone::Dynamic { loader });
    }
    Ok(())
}

/// The kind of program header that names a loader.
const PT_INTERP: usize = 3;

/// How the engine finds out whether a container is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Program and arguments; exit code 0 is well.
    pub command: Vec<String>,
    /// Time between two checks; the engine takes 1 ms or more.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// For this long after the start failures do not count.
    pub start_period: Duration,
    /// Failures in a row that make the container unhealthy.
    pub retries: u32,
}

impl HealthCheck {
    /// As the engine's API has it: `CMD` and nanoseconds.
    pub(crate) fn test(&self) -> Vec<String> {
        std::iter::once("CMD".to_owned()).chain(self.command.iter().cloned()).collect()
    }
}

/// The engine's number for a span: nanoseconds.
pub(crate) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// The archive of an image with this binary, for `DockerEngine::load_image` or `docker load`.
///
/// # Errors
/// When a path leaves the image (`..`).
pub fn scratch_image_tar(image: &ScratchImage<'_>) -> io::Result<Vec<u8>> {
    let layer = layer(image)?;
    let layer_digest = hex(&Sha256::digest(&layer));
    let config = config(image, &layer_digest);
    let config_name = format!("{}.json", hex(&Sha256::digest(&config)));
    let layer_name = format!("{layer_digest}/layer.tar");
    let manifest = json!([{ "Config": config_name, "RepoTags": [image.reference], "Layers": [layer_name] }]);
    let mut archive = Builder::new(Vec::with_capacity(layer.len() + 8 * 1_024));
    file(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
    file(&mut archive, &config_name, 0o644, &config)?;
    file(&mut archive, &layer_name, 0o644, &layer)?;
    archive.into_inner()
}

/// The root file system: the binary, its links, and the folders programs expect.
fn layer(image: &ScratchImage<'_>) -> io::Result<Vec<u8>> {
    let mut folders = BTreeMap::from([("tmp/".to_owned(), 0o1777), ("etc/".to_owned(), 0o755)]);
    for path in image.links.iter().chain([&image.path]) {
        let path = relative(path);
        for (at, _) in path.match_indices('/') {
            folders.entry(path[..=at].to_owned()).or_insert(0o755);
        }
    }
    let mut root = Builder::new(Vec::with_capacity(image.binary.len() + 8 * 1_024));
    for (folder, mode) in &folders {
        let mut header = header(EntryType::Directory, *mode, 0);
        root.append_data(&mut header, folder, io::empty())?;
    }
    file(&mut root, relative(image.path), 0o755, image.binary)?;
    for link in image.links {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        root.append_link(&mut header, relative(link), format!("/{}", relative(image.path)))?;
    }
    root.into_inner()
}

/// The image's configuration (OCI image specification, "Image Configuration").
fn config(image: &ScratchImage<'_>, layer_digest: &str) -> Vec<u8> {
    let mut run = json!({
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin:/sbin"],
        "Entrypoint": image.entrypoint,
        "Cmd": image.cmd,
        "WorkingDir": "/",
        "Labels": image.labels.iter().copied().collect::<BTreeMap<_, _>>(),
    });
    if let Some(health) = &image.health {
        run["Healthcheck"] = json!({
            "Test": health.test(),
            "Interval": nanos(health.interval),
            "Timeout": nanos(health.timeout),
            "StartPeriod": nanos(health.start_period),
            "Retries": health.retries,
        });
    }
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": run,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
        "history": [{ "created_by": "hemostat" }],
    });
    config.to_string().into_bytes()
}

/// The architecture in Go's words, as image configurations use them.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

fn file(archive: &mut Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode, content.len() as u64);
    archive.append_data(&mut header, path, content)
}

/// Owner root and time 0, so that equal content makes equal archives.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        hex.push(char::from(HEX[usize::from(byte >> 4)]));
        hex.push(char::from(HEX[usize::from(byte & 15)]));
        hex
    })
}

const HEX: &[u8; 16] = b"0123456789abcdef";
