//! Arrows only go down: the edges of the workspace against the table in ARCHITECTURE.md, and what the pure crates
//! are made of against a list.

mod supply;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Crates that know no clock, randomness, environment, file, socket or task.
const PURE: [&str; 2] = ["hemostat-event", "hemostat-core"];

/// Crates that know one technology each, and not one another.
const ADAPTERS: [&str; 5] =
    ["hemostat-redis", "hemostat-docker", "hemostat-http", "hemostat-web", "hemostat-archive"];

/// Packages that a pure crate may be made of. Before one is added here, somebody has looked: it reads no clock, no
/// environment, no file and no random numbers, with the features it has here.
const PURE_PACKAGES: [&str; 26] = [
    // Values and formats.
    "chrono",
    "num-traits",
    "uuid",
    "sha1_smol",
    "serde",
    "serde_core",
    "serde_json",
    "itoa",
    "zmij",
    "memchr",
    "rmp",
    "rmp-serde",
    "regex-lite",
    "thiserror",
    "schemars",
    "dyn-clone",
    "ref-cast",
    // At compile time only.
    "serde_derive",
    "serde_derive_internals",
    "schemars_derive",
    "thiserror-impl",
    "ref-cast-impl",
    "proc-macro2",
    "quote",
    "syn",
    "unicode-ident",
];

/// Features that would bring the world into a pure package.
const IMPURE_FEATURES: [(&str, &[&str]); 2] =
    [("chrono", &["clock", "now", "iana-time-zone"]), ("uuid", &["v1", "v4", "v6", "v7", "rng", "fast-rng"])];

/// What the tests of a crate may use of the house, beyond what the crate itself may: always with the feature
/// `testing` and no other.
fn may_test_with(name: &str) -> BTreeSet<&str> {
    match name {
        name if PURE.contains(&name) => BTreeSet::new(),
        "hemostat" => ADAPTERS.into_iter().chain(["hemostat-agent"]).collect(),
        // It writes into a real log, and is tested on one.
        "hemostat-replay" => ["hemostat-agent", "hemostat-redis"].into(),
        name => ["hemostat-agent", name].into(),
    }
}

/// One arrow of the workspace.
#[derive(Debug, Clone, PartialEq)]
struct Edge {
    from: String,
    to: String,
    kind: Kind,
    features: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Normal,
    Test,
    Build,
}

/// Which crates a crate may depend on.
type Table = BTreeMap<String, BTreeSet<String>>;

#[test]
fn arrows_only_go_down() {
    let table = table(&architecture());
    let (crates, edges) = workspace();
    assert_eq!(
        table.keys().collect::<Vec<_>>(),
        crates.iter().collect::<Vec<_>>(),
        "ARCHITECTURE.md lists every crate"
    );
    let breaches = breaches(&table, &edges);
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn pure_crates_are_made_of_pure_packages() {
    for name in PURE {
        let packages = tree(name);
        assert!(packages.iter().any(|(found, _)| found == "serde"), "the tree of {name} was read");
        let impurities = impurities(&packages);
        assert!(
            impurities.is_empty(),
            "{name} is made of {impurities:#?}; look whether it is pure before it goes on the list in layers.rs"
        );
    }
}

#[test]
fn what_plays_the_past_again_is_not_linked_with_what_reaches_an_engine_or_a_channel() {
    let packages = tree("hemostat-replay");
    assert!(packages.iter().any(|(found, _)| found == "hemostat-redis"), "the tree was read");
    // It has an HTTP client, by which archives in buckets are read.
    for reaches in ["hemostat-docker", "hemostat-http", "hemostat-web", "bollard"] {
        assert!(!packages.iter().any(|(found, _)| found == reaches), "{reaches}");
    }
}

#[test]
fn pure_crates_are_under_the_same_bans() {
    let bans = |name: &str| read(&format!("crates/{name}/clippy.toml"));
    assert!(bans(PURE[0]).contains("std::time::SystemTime::now"));
    assert_eq!(bans(PURE[0]), bans(PURE[1]), "the bans of {PURE:?} differ");
}

#[test]
fn the_table_keeps_to_the_design() {
    let table = table(&architecture());
    assert!(table["hemostat-event"].is_empty());
    assert_eq!(table["hemostat-core"], ["hemostat-event".to_owned()].into());
    assert_eq!(table["hemostat-agent"], PURE.map(str::to_owned).into());
    for adapter in ADAPTERS {
        let below = PURE.into_iter().chain(["hemostat-agent"]).map(str::to_owned).collect();
        assert_eq!(table[adapter], below, "{adapter}");
    }
}

#[test]
fn a_table_is_read_as_it_is_meant() {
    let text = "\
        | crate | holds | may depend on |\n\
        |---|---|---|\n\
        | `hemostat-event` | words | – |\n\
        | `hemostat-core` | rules \\| more | event |\n\
        | `hemostat-agent` | loop | core, event |\n\
        | `hemostat-web` | pages | agent and below |\n\
        | `hemostat` | wiring | all |\n";
    let table = table(text);
    let row = |name: &str| table[name].iter().map(String::as_str).collect::<Vec<_>>();
    assert!(row("hemostat-event").is_empty());
    assert_eq!(row("hemostat-core"), ["hemostat-event"]);
    assert_eq!(row("hemostat-web"), ["hemostat-agent", "hemostat-core", "hemostat-event"]);
    assert_eq!(row("hemostat"), ["hemostat-agent", "hemostat-core", "hemostat-event", "hemostat-web"]);
}

#[test]
fn forbidden_arrows_are_found() {
    let table = table(&architecture());
    let edge = |from: &str, to: &str, kind, features: &[&str]| Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        kind,
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
    };
    for forbidden in [
        edge("hemostat-event", "hemostat-core", Kind::Normal, &[]),
        edge("hemostat-core", "hemostat-agent", Kind::Normal, &[]),
        edge("hemostat-agent", "hemostat-redis", Kind::Normal, &[]),
        edge("hemostat-redis", "hemostat-docker", Kind::Normal, &[]),
        edge("hemostat-web", "hemostat", Kind::Normal, &[]),
        edge("hemostat-event", "hemostat-core", Kind::Build, &[]),
        edge("hemostat-elsewhere", "hemostat-event", Kind::Normal, &[]),
        edge("hemostat", "hemostat-agent", Kind::Normal, &["testing"]),
        edge("hemostat-core", "hemostat-agent", Kind::Test, &["testing"]),
        edge("hemostat-redis", "hemostat-docker", Kind::Test, &["testing"]),
        edge("hemostat-redis", "hemostat-agent", Kind::Test, &["testing", "more"]),
        edge("hemostat-redis", "hemostat-agent", Kind::Test, &[]),
    ] {
        assert_eq!(breaches(&table, std::slice::from_ref(&forbidden)).len(), 1, "{forbidden:?}");
    }
    let allowed = [
        edge("hemostat-core", "hemostat-event", Kind::Normal, &[]),
        edge("hemostat", "hemostat-redis", Kind::Normal, &[]),
        edge("hemostat-redis", "hemostat-agent", Kind::Test, &["testing"]),
        edge("hemostat-docker", "hemostat-docker", Kind::Test, &["testing"]),
        edge("hemostat", "hemostat-docker", Kind::Test, &["testing"]),
    ];
    assert_eq!(breaches(&table, &allowed), Vec::<String>::new());
}

#[test]
fn impure_packages_are_found() {
    let packages = |text: &str| parse_tree(text);
    for impure in [
        "tokio v1.54.0|rt",
        "getrandom v0.4.3|",
        "rand v0.10.4|",
        "chrono v0.4.45|alloc,clock,std",
        "uuid v1.29.3|v4",
    ] {
        assert_eq!(impurities(&packages(impure)).len(), 1, "{impure}");
    }
    let pure = "hemostat-event v0.1.0 (/a/path)|\nchrono v0.4.45|alloc,std\nserde v1.0.229|std (*)\n\nuuid v1.29.3|v5\n";
    assert_eq!(packages(pure).len(), 4);
    assert_eq!(impurities(&packages(pure)), Vec::<String>::new());
}

/// What is wrong with the arrows, in words.
fn breaches(table: &Table, edges: &[Edge]) -> Vec<String> {
    let wrong = |edge: &Edge| {
        let Edge { from, to, kind, features } = edge;
        let allowed = table.get(from).is_some_and(|below| below.contains(to));
        let testing = features.iter().map(String::as_str).eq(["testing"]);
        match kind {
            Kind::Normal | Kind::Build if !allowed => Some(format!("{from} must not depend on {to}")),
            Kind::Normal | Kind::Build if features.iter().any(|feature| feature == "testing") => {
                Some(format!("{from} takes the test helpers of {to} into the product"))
            }
            Kind::Test if !testing => {
                Some(format!("the tests of {from} want {features:?} of {to}, not `testing`"))
            }
            Kind::Test if !may_test_with(from).contains(to.as_str()) => {
                Some(format!("the tests of {from} must not use {to}"))
            }
            Kind::Normal | Kind::Build | Kind::Test => None,
        }
    };
    edges.iter().filter_map(wrong).collect()
}

/// What a pure crate must not be made of, in words.
fn impurities(packages: &[(String, Vec<String>)]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (name, features) in packages {
        if !PURE.contains(&name.as_str()) && !PURE_PACKAGES.contains(&name.as_str()) {
            found.insert(name.clone());
        }
        for (package, impure) in IMPURE_FEATURES {
            let has = features.iter().filter(|feature| name == package && impure.contains(&feature.as_str()));
            found.extend(has.map(|feature| format!("{name} with `{feature}`")));
        }
    }
    found.into_iter().collect()
}

/// Reads the table of crates out of ARCHITECTURE.md.
fn table(text: &str) -> Table {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> =
            line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let name = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
        name.starts_with("hemostat")
            .then(|| (name.to_owned(), (*cells.last().expect("not empty")).to_owned()))
    });
    let rows: BTreeMap<String, String> = rows.collect();
    rows.keys().map(|name| (name.clone(), may_depend_on(&rows, name))).collect()
}

fn may_depend_on(rows: &BTreeMap<String, String>, name: &str) -> BTreeSet<String> {
    let full = |short: &str| format!("hemostat-{}", short.trim());
    match rows.get(name).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {name}")).as_str() {
        "–" => BTreeSet::new(),
        "all" => rows.keys().filter(|other| *other != name).cloned().collect(),
        cell => match cell.strip_suffix(" and below") {
            Some(top) => {
                let mut below = may_depend_on(rows, &full(top));
                below.insert(full(top));
                below
            }
            None => cell.split(',').map(full).collect(),
        },
    }
}

/// The crates of the workspace and the arrows between them.
fn workspace() -> (BTreeSet<String>, Vec<Edge>) {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let crates: BTreeSet<String> = packages.iter().map(name).collect();
    let mut edges = Vec::new();
    for package in packages {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = name(dependency);
            if !crates.contains(&to) {
                continue;
            }
            let kind = match dependency["kind"].as_str() {
                None => Kind::Normal,
                Some("dev") => Kind::Test,
                Some("build") => Kind::Build,
                Some(other) => panic!("an unknown kind of dependency: {other}"),
            };
            let features = dependency["features"].as_array().expect("features").iter();
            let features = features.map(|feature| feature.as_str().expect("a name").to_owned()).collect();
            edges.push(Edge { from: name(package), to, kind, features });
        }
    }
    (crates, edges)
}

/// The packages that `name` alone is built of, without those of its tests: a build of the whole workspace has the
/// features of all crates together.
fn tree(name: &str) -> Vec<(String, Vec<String>)> {
    let target = target();
    let args = ["tree", "--package", name, "--edges", "normal", "--prefix", "none", "--format", "{p}|{f}"];
    parse_tree(&cargo(&[&args[..], &["--target", &target]].concat()))
}

fn parse_tree(text: &str) -> Vec<(String, Vec<String>)> {
    let lines = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let (package, features) = line.split_once('|').expect("the format has a bar");
        let name = package.split(' ').next().expect("a line has a name");
        let features = features.trim_end_matches(" (*)").split(',').filter(|feature| !feature.is_empty());
        (name.to_owned(), features.map(str::to_owned).collect())
    });
    lines.collect()
}

/// The answer of `cargo metadata` for the platform of this test.
fn metadata(args: &[&str]) -> Value {
    let target = target();
    let fixed = ["metadata", "--format-version", "1", "--filter-platform", &target];
    serde_json::from_str(&cargo(&[&fixed[..], args].concat())).expect("cargo answers in JSON")
}

/// Runs cargo on this workspace, without a network and with the packages as they are locked.
fn cargo(args: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(args)
        .args(["--offline", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs where it started this test");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo answers in UTF-8")
}

/// The platform that this test was built for: the only one whose packages are sure to be here.
fn target() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-unknown-linux-{libc}", std::env::consts::ARCH)
}

fn architecture() -> String {
    read("ARCHITECTURE.md")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
