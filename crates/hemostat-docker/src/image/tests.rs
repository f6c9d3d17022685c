use std::io::Read as _;

use serde_json::Value;

use super::*;

const BINARY: &[u8] = b"\x7fELF and the rest";

#[test]
fn the_same_input_makes_the_same_bytes() {
    let (one, two) = (scratch_image_tar(&image()).expect("made"), scratch_image_tar(&image()).expect("made"));
    assert_eq!(one, two);
    let other = scratch_image_tar(&ScratchImage { binary: b"another", ..image() }).expect("made");
    assert_ne!(one, other);
}

#[test]
fn the_archive_is_one_of_docker_save() {
    let archive = scratch_image_tar(&image()).expect("made");
    let files: BTreeMap<_, _> =
        entries(&archive).into_iter().map(|entry| (entry.path, entry.content)).collect();
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
    assert_eq!(manifest[0]["RepoTags"], json!(["hemostat-test:1"]));
    let config_name = manifest[0]["Config"].as_str().expect("a name");
    let config_bytes = &files[config_name];
    assert_eq!(config_name, format!("{}.json", hex(&Sha256::digest(config_bytes))));
    let layer = &files[manifest[0]["Layers"][0].as_str().expect("a name")];
    let config: Value = serde_json::from_slice(config_bytes).expect("JSON");
    assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", hex(&Sha256::digest(layer)))]));
    assert_eq!(config["config"]["Entrypoint"], json!(["/bin/app", "run"]));
    assert_eq!(config["config"]["Labels"], json!({ "hemostat.test": "yes" }));
    assert_eq!(
        config["config"]["Healthcheck"],
        json!({ "Test": ["CMD", "/bin/app", "check"], "Interval": 1_500_000_000_u64, "Timeout": 1_000_000_000_u64,
            "StartPeriod": 0, "Retries": 2 })
    );
}

#[test]
fn the_layer_has_the_binary_its_links_and_a_folder_for_each() {
    let files = entries(&layer(&image()).expect("made"));
    let shown: Vec<_> = files.iter().map(|entry| (entry.path.as_str(), entry.kind, entry.mode)).collect();
    assert_eq!(
        shown,
        [
            ("bin/", EntryType::Directory, 0o755),
            ("etc/", EntryType::Directory, 0o755),
            ("tmp/", EntryType::Directory, 0o1777),
            ("usr/", EntryType::Directory, 0o755),
            ("usr/bin/", EntryType::Directory, 0o755),
            ("bin/app", EntryType::Regular, 0o755),
            ("usr/bin/sh", EntryType::Symlink, 0o777),
        ]
    );
    assert_eq!(files[5].content, BINARY);
    assert_eq!(files[6].link.as_deref(), Some("/bin/app"));
    assert!(files.iter().all(|entry| entry.mtime == 0));
}

#[test]
fn a_long_path_is_kept_whole_and_one_that_leaves_the_image_is_refused() {
    let path = format!("/{}", "x".repeat(300));
    let made = layer(&ScratchImage { links: &[], path: &path, ..image() }).expect("made");
    assert!(entries(&made).iter().any(|entry| format!("/{}", entry.path) == path));
    assert!(layer(&ScratchImage { path: "/../app", ..image() }).is_err());
}

#[test]
fn a_binary_that_needs_a_loader_is_told_from_one_that_stands_alone() {
    assert_eq!(check_static(&elf(&[(1, "")])), Ok(()));
    assert_eq!(check_static(&elf(&[])), Ok(()));
    let loader = "/lib64/ld-linux-x86-64.so.2";
    let needs = Err(NotAlone::Dynamic { loader: loader.to_owned() });
    assert_eq!(check_static(&elf(&[(6, ""), (PT_INTERP, loader), (1, "")])), needs);
}

#[test]
fn what_is_no_executable_is_said_to_be_none() {
    let mut cut = elf(&[(1, ""), (1, "")]);
    cut.truncate(ELF_HEADER + 10);
    let mut endless = elf(&[(1, "")]);
    endless[56..58].copy_from_slice(&[0xff, 0xff]);
    let mut far = elf(&[(1, "")]);
    far[32..40].copy_from_slice(&[0xff; 8]);
    for binary in [Vec::new(), b"#!/bin/sh\n".to_vec(), b"\x7fELF\x01\x01".to_vec(), cut, endless, far] {
        assert_eq!(check_static(&binary), Err(NotAlone::NotElf), "{binary:?}");
    }
}

fn image() -> ScratchImage<'static> {
    ScratchImage {
        reference: "hemostat-test:1",
        binary: BINARY,
        path: "/bin/app",
        links: &["/usr/bin/sh"],
        entrypoint: &["/bin/app", "run"],
        cmd: &[],
        health: Some(HealthCheck {
            command: vec!["/bin/app".to_owned(), "check".to_owned()],
            interval: Duration::from_millis(1_500),
            timeout: Duration::from_secs(1),
            start_period: Duration::ZERO,
            retries: 2,
        }),
        labels: &[("hemostat.test", "yes")],
    }
}

struct Entry {
    path: String,
    kind: EntryType,
    mode: u32,
    mtime: u64,
    link: Option<String>,
    content: Vec<u8>,
}

fn entries(archive: &[u8]) -> Vec<Entry> {
    let mut archive = tar::Archive::new(archive);
    let read = |mut entry: tar::Entry<'_, &[u8]>| {
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("it can be read");
        let header = entry.header();
        Entry {
            path: String::from_utf8(entry.path_bytes().into_owned()).expect("text"),
            kind: header.entry_type(),
            mode: header.mode().expect("a mode"),
            mtime: header.mtime().expect("a time"),
            link: entry.link_name_bytes().map(|link| String::from_utf8(link.into_owned()).expect("text")),
            content,
        }
    };
    archive.entries().expect("an archive").map(|entry| read(entry.expect("an entry"))).collect()
}

const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// An executable of nothing but program headers: their type and the text they point to.
fn elf(headers: &[(usize, &str)]) -> Vec<u8> {
    let mut elf = vec![0u8; ELF_HEADER];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[32..40].copy_from_slice(&(ELF_HEADER as u64).to_le_bytes());
    elf[54..56].copy_from_slice(&(PROGRAM_HEADER as u16).to_le_bytes());
    elf[56..58].copy_from_slice(&(headers.len() as u16).to_le_bytes());
    let mut texts = Vec::new();
    for (kind, text) in headers {
        let place = ELF_HEADER + headers.len() * PROGRAM_HEADER + texts.len();
        let mut header = [0u8; PROGRAM_HEADER];
        header[..4].copy_from_slice(&(*kind as u32).to_le_bytes());
        header[8..16].copy_from_slice(&(place as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(text.len() as u64 + 1).to_le_bytes());
        elf.extend(header);
        texts.extend(text.bytes().chain([0]));
    }
    elf.extend(texts);
    elf
}
