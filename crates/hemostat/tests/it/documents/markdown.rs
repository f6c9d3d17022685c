//! README and docs as text: their blocks of code, what stands between backticks, links and headings.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// A block of code.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// The document, from the root of the repository.
    pub(super) file: String,
    /// The line that opens it, from 1.
    pub(super) line: usize,
    /// What stands behind the backticks: a language, and how it is run.
    pub(super) info: String,
    /// What stands in it.
    pub(super) text: String,
}

impl Block {
    /// Where it is, for a message.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Whether it is for a shell.
    pub(super) fn is_shell(&self) -> bool {
        ["sh", "bash", "shell", "console"].contains(&self.info.split(' ').next().unwrap_or_default())
    }
}

/// A document, taken apart.
pub(super) struct Document {
    /// Its path from the root of the repository.
    pub(super) file: String,
    /// All of it.
    pub(super) text: String,
    /// Its blocks of code.
    pub(super) blocks: Vec<Block>,
    /// The rest of it.
    pub(super) prose: String,
}

impl Document {
    pub(super) fn read(file: &str) -> Self {
        let path = root().join(file);
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let (mut blocks, mut prose, mut open) = (Vec::new(), String::new(), None::<Block>);
        for (number, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(info), None) => {
                    let info = info.trim().to_owned();
                    open = Some(Block { file: file.to_owned(), line: number + 1, info, text: String::new() });
                }
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {
                    prose.push_str(line);
                    prose.push('\n');
                }
            }
        }
        assert!(open.is_none(), "{file}: a block does not end");
        Self { file: file.to_owned(), text, blocks, prose }
    }

    /// What stands between backticks, with one space where a line ends.
    pub(super) fn spans(&self) -> Vec<String> {
        let spans = self.prose.split("\n\n").flat_map(|part| {
            part.split('`')
                .skip(1)
                .step_by(2)
                .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "))
        });
        spans.collect()
    }

    /// Where its links lead.
    pub(super) fn links(&self) -> Vec<String> {
        let ends = self.prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        ends.map(|(target, _)| target.to_owned()).collect()
    }

    /// The names by which its headings are linked to.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose.lines().filter_map(|line| line.strip_prefix('#'));
        headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
    }
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// README, ARCHITECTURE and everything in docs.
pub(super) fn documents() -> Vec<Document> {
    let mut files = vec!["ARCHITECTURE.md".to_owned(), "README.md".to_owned()];
    for folder in ["docs", "docs/adr"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("the folder is there") {
            let name = entry.expect("it can be read").file_name().into_string().expect("plain text");
            if name.ends_with(".md") {
                files.push(format!("{folder}/{name}"));
            }
        }
    }
    files.sort();
    assert!(12 <= files.len(), "the documents were found");
    files.iter().map(|file| Document::read(file)).collect()
}

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn a_document_is_read_as_it_is_meant() {
    let of = |text: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.md");
        std::fs::write(&file, text).expect("it can be written");
        Document::read(file.to_str().expect("plain text"))
    };
    let text = "# A `b` c\n\nSay `one\ntwo` and [x](y.md#z).\n\n```sh run log\nhemostat up\n```\n\n`three`\n";
    let document = of(text);
    assert_eq!(document.spans(), ["b", "one two", "three"]);
    assert_eq!(document.links(), ["y.md#z"]);
    assert_eq!(document.anchors(), ["a-b-c".to_owned()].into());
    let [block] = &document.blocks[..] else { panic!("{:?}", document.blocks) };
    assert_eq!((block.line, &*block.info, &*block.text), (6, "sh run log", "hemostat up\n"));
    assert!(block.is_shell());
}
