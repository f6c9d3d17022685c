//! What a document names is there: commands and their flags, settings, variables, files, links.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::markdown::{Document, documents, root};
use crate::rig::{hemostat, hemostat_replay, run};

/// What looks like a setting and is a name in another list.
const NO_SETTINGS: [&str; 5] =
    ["archive.hold", "archive.redact", "archive.release", "archive.key", "archive.key.pub"];
/// Variables that no agent reads: those of the compose file, of Grafana, of scripts and tests.
const OF_OTHERS: [&str; 6] = [
    "HEMOSTAT_IMAGE",
    "HEMOSTAT_PROMETHEUS_URL",
    "HEMOSTAT_CONFIG",
    "HEMOSTAT_PYTHON",
    "HEMOSTAT_CHAOS_KILLS",
    "HEMOSTAT_FOOTPRINT_CONTAINERS",
];

#[test]
fn every_command_that_a_document_names_is_understood_by_the_program() {
    let (mut asked, mut wrong) = (0, Vec::new());
    for document in documents() {
        for words in commands(&document) {
            let (program, arguments) = words.split_first().expect("a command has a name");
            let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(["--help"]).collect();
            // Flags are read from left to right: what comes before `--help` has to be right.
            let mut command =
                if program == "hemostat" { hemostat(&arguments) } else { hemostat_replay(&arguments) };
            let answer = run(&mut command);
            asked += 1;
            if answer.code != 0 {
                wrong.push(format!("{}: {}\n{}", document.file, words.join(" "), answer.err));
            }
        }
    }
    assert!(60 < asked, "the documents were read: {asked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_command_is_found() {
    for (words, right) in [
        (&["log", "--since", "1h"][..], true),
        (&["log", "--sinse", "1h"], false),
        (&["lag"], false),
        (&["log", "--since"], false),
        (&["archive", "hold", "drop"], false),
    ] {
        let words: Vec<_> = words.iter().copied().chain(["--help"]).collect();
        assert_eq!(run(&mut hemostat(&words)).code == 0, right, "{words:?}");
    }
}

#[test]
fn every_setting_and_variable_that_a_document_names_is_there() {
    let (settings, variables) = settings();
    let sections: BTreeSet<_> =
        settings.iter().filter_map(|key| key.split_once('.')).map(|(section, _)| section).collect();
    let is_setting = |key: &str| match key.strip_suffix('*') {
        Some(start) => settings.iter().any(|setting| setting.starts_with(start)),
        None => settings.contains(key) || key.strip_suffix("_file").is_some_and(|key| settings.contains(key)),
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents() {
        let given = commands(&document).into_iter().flat_map(|words| {
            let values: Vec<_> =
                words.windows(2).filter(|pair| pair[0] == "--set").map(|pair| pair[1].clone()).collect();
            values
        });
        for span in document.spans().into_iter().chain(given) {
            let key = span.split('=').next().unwrap_or_default();
            let of_a_section = key.split_once('.').is_some_and(|(section, rest)| {
                sections.contains(section)
                    && rest.bytes().all(|byte| byte.is_ascii_lowercase() || b"_.*".contains(&byte))
            });
            if of_a_section && !NO_SETTINGS.contains(&key) {
                seen += 1;
                if !is_setting(key) {
                    wrong.push(format!("{}: no setting: {span}", document.file));
                }
            }
        }
        for word in document.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let known = |name: &str| variables.contains(name) || OF_OTHERS.contains(&name);
            let a_beginning =
                |name: &str| name.ends_with('_') && variables.iter().any(|known| known.starts_with(name));
            if word.starts_with("HEMOSTAT_") && !known(word) && !a_beginning(word) {
                wrong.push(format!("{}: no variable: {word}", document.file));
            }
        }
    }
    assert!(80 < seen, "the documents were read: {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_configuration_file_that_a_document_shows_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, secret) = (folder.path().join("hemostat.toml"), folder.path().join("secret"));
    std::fs::write(&secret, "http://127.0.0.1:1/T0/secret").expect("it can be written");
    let blocks: Vec<_> = documents().into_iter().flat_map(|document| document.blocks).collect();
    let blocks: Vec<_> = blocks.iter().filter(|block| block.info == "toml").collect();
    assert!(2 <= blocks.len(), "the documents were read");
    for block in blocks {
        let text =
            block.text.replace("/run/secrets/slack_url", secret.to_str().expect("a path is plain text"));
        std::fs::write(&file, text).expect("it can be written");
        let answer = run(hemostat(&["check-config", "--config"]).arg(&file));
        assert_eq!(answer.code, 0, "{}: {}", block.place(), answer.err);
    }
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let root = root();
    let tops: BTreeSet<_> = std::fs::read_dir(&root)
        .expect("the root is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents() {
        let in_blocks = document.blocks.iter().filter(|block| block.is_shell());
        let in_blocks = in_blocks.flat_map(|block| block.text.split_whitespace().map(str::to_owned));
        for span in document.spans().into_iter().chain(in_blocks) {
            let path = span.split(' ').next().unwrap_or_default().trim_start_matches("./");
            let top = path.split('/').next().unwrap_or_default();
            // What is ignored by git, such as `secrets/…`, is made by scripts.
            let is_path = path.contains('/') && tops.contains(top) && !["secrets", "target"].contains(&top);
            if is_path && !path.contains(['*', '…', '<']) {
                seen += 1;
                if !root.join(path).exists() {
                    wrong.push(format!("{}: no file: {path}", document.file));
                }
            }
        }
    }
    assert!(30 < seen, "the documents were read: {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in &documents {
        let folder = document.file.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in document.links().into_iter().filter(|link| !link.contains("://")) {
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let path = if path.is_empty() { document.file.clone() } else { format!("{folder}/{path}") };
            let path = root().join(path.trim_start_matches('/'));
            let leads = path.exists() && (anchor.is_empty() || anchors(&path).contains(anchor));
            if !leads {
                wrong.push(format!("{}: {link} leads nowhere", document.file));
            }
        }
    }
    assert!(60 < seen, "the documents were read: {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_metric_that_a_document_names_is_there() {
    let reference = Document::read("docs/metrics.md").spans().into_iter().collect::<BTreeSet<_>>();
    let mut wrong = Vec::new();
    for document in documents() {
        for span in document.spans() {
            let name = span.split('{').next().unwrap_or_default();
            let is_metric = name.starts_with("hemostat_")
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_*".contains(&byte));
            let start = name.trim_end_matches('*');
            let known = match start == name {
                true => reference.contains(name) || is_crate(name),
                false => reference.iter().any(|known| known.starts_with(start)),
            };
            if is_metric && !known {
                wrong.push(format!("{}: no metric: {span}", document.file));
            }
        }
    }
    assert!(100 < reference.len(), "the reference was read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every name of the code in the documents for those who write code: `Type`, `Type::item`, `module::item`.
#[test]
fn every_type_that_the_documents_for_programmers_name_is_in_the_code() {
    let sources = sources();
    let defined = |name: &str| {
        let words = ["struct", "enum", "trait", "type", "fn", "const", "mod"];
        let here = words.map(|word| format!("{word} {name}"));
        move |text: &str| {
            here.iter().any(|wanted| {
                text.match_indices(wanted).any(|(at, _)| {
                    !text[at + wanted.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
                })
            })
        }
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in ["docs/agents.md", "docs/actions.md"] {
        for span in Document::read(file).spans() {
            let parts: Vec<_> = span.split("::").collect();
            let plain = |part: &str| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            let first = parts[0].starts_with(|c: char| c.is_ascii_uppercase())
                && parts[0].contains(|c: char| c.is_ascii_lowercase());
            if !parts.iter().all(|part| plain(part)) || !(first || 1 < parts.len()) {
                continue;
            }
            seen += 1;
            let found = match &parts[..] {
                [name] => sources.iter().any(|text| defined(name)(text)),
                // A method, a variant or a constant stands where the type is defined or implemented.
                [.., of, name] if of.starts_with(|c: char| c.is_ascii_uppercase()) => {
                    sources.iter().any(|text| {
                        let belongs = defined(of)(text) || text.contains(&format!("impl {of}"));
                        let variant =
                            [" {", "(", ","].iter().any(|end| text.contains(&format!("    {name}{end}")));
                        belongs && (defined(name)(text) || variant)
                    })
                }
                [.., name] => {
                    sources.iter().any(|text| defined(name)(text)) || parts.iter().all(|part| is_module(part))
                }
                [] => false,
            };
            if !found {
                wrong.push(format!("{file}: not in the code: {span}"));
            }
        }
    }
    assert!(25 < seen, "the documents were read: {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Commands of the two programs, word by word, in blocks and between backticks.
fn commands(document: &Document) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let blocks = document.blocks.iter().filter(|block| block.is_shell());
    let lines: Vec<_> = blocks.map(|block| block.text.replace("\\\n", " ")).collect();
    let lines = lines.iter().flat_map(|text| text.lines()).map(str::to_owned);
    for line in lines.chain(document.spans()) {
        for part in parts(&line) {
            let words = part.iter().skip_while(|word| is_assignment(word)).cloned();
            // `docker compose run … operator` is the program in a container.
            let words: Vec<_> = match part.iter().position(|word| word == "operator") {
                Some(at) if part.starts_with(&["docker".to_owned(), "compose".to_owned()]) => {
                    ["hemostat".to_owned()].into_iter().chain(part[at + 1..].iter().cloned()).collect()
                }
                _ => words.collect(),
            };
            let is_ours = words.first().is_some_and(|word| word == "hemostat" || word == "hemostat-replay");
            if is_ours && 1 < words.len() {
                found.push(words);
            }
        }
    }
    found
}

/// The commands of a line, as a shell takes it apart; of words that are to be chosen from (`a|b`) the first.
fn parts(line: &str) -> Vec<Vec<String>> {
    let (mut parts, mut words) = (Vec::new(), Vec::new());
    let (mut word, mut quote) = (None::<String>, None);
    for c in line.chars().chain([' ']) {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    let mut part = Vec::new();
    for word in words {
        match &*word {
            _ if word.starts_with('#') => break,
            "|" | "&" | "&&" | ";" | ">" => parts.push(std::mem::take(&mut part)),
            "…" => {}
            _ => part.push(word.split('|').next().unwrap_or_default().to_owned()),
        }
    }
    parts.push(part);
    parts
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
}

/// The keys of all settings, and their variables with those that name a file.
fn settings() -> (BTreeSet<String>, BTreeSet<String>) {
    let answer = run(&mut hemostat(&["check-config", "-o", "json"]));
    let (mut keys, mut variables) = (BTreeSet::new(), BTreeSet::new());
    for line in answer.out.lines() {
        let setting: Value = serde_json::from_str(line).expect("JSON");
        keys.insert(setting["setting"].as_str().expect("a key").to_owned());
        let variable = setting["variable"].as_str().expect("a variable");
        variables.extend([variable.to_owned(), format!("{variable}_FILE")]);
    }
    (keys, variables)
}

fn anchors(path: &std::path::Path) -> BTreeSet<String> {
    Document::read(path.to_str().expect("plain text")).anchors()
}

fn is_crate(name: &str) -> bool {
    root().join("crates").join(name.replace('_', "-")).is_dir()
}

/// Whether a crate or a module has this name.
fn is_module(name: &str) -> bool {
    is_crate(name) || is_crate(&format!("hemostat_{name}")) || {
        let found = Command::new("find")
            .arg(root().join("crates"))
            .args(["-path", &format!("*/src/*{name}.rs"), "-o", "-path", &format!("*/src/*{name}")])
            .output()
            .expect("find runs");
        !found.stdout.is_empty()
    }
}

/// The code of the workspace, file by file, without its tests.
fn sources() -> Vec<String> {
    let listed = Command::new("find")
        .arg(root().join("crates"))
        .args(["-name", "*.rs", "-not", "-path", "*/tests/*"])
        .output()
        .expect("find runs");
    let files = String::from_utf8(listed.stdout).expect("plain text");
    let texts: Vec<_> =
        files.lines().map(|file| std::fs::read_to_string(file).expect("it can be read")).collect();
    assert!(200 < texts.len(), "the code was read");
    texts
}
