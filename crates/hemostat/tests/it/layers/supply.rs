//! What we take from others, held to deny.toml without cargo-deny: licences, bans, and packages that come twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{cargo, read, target};

#[test]
fn licences_are_allowed() {
    let allowed = strings(&deny(), "licenses", "allow");
    let packages = packages();
    assert!(100 < packages.len(), "the tree of the workspace was read");
    let wrong: Vec<_> = packages
        .iter()
        .filter(|package| !permits(&package.licence, &allowed))
        .map(|package| format!("{} {}: `{}`", package.name, package.version, package.licence))
        .collect();
    assert!(wrong.is_empty(), "not permitted by the licences in deny.toml: {wrong:#?}");
}

#[test]
fn banned_packages_stay_out() {
    let banned = crates(&deny(), "deny");
    assert!(banned.contains("openssl-sys"));
    // The lock names more than is built here: what another platform or a feature would bring.
    let lock = read("Cargo.lock");
    let locked = |name: &str| lock.contains(&format!("name = \"{name}\"\n"));
    assert!(locked("serde"), "the lock was read");
    let found: Vec<_> = banned.iter().filter(|name| locked(name)).collect();
    assert!(found.is_empty(), "banned by deny.toml: {found:?}");
}

#[test]
fn packages_come_once_or_with_a_reason() {
    let twice = unexplained(&packages(), &crates(&deny(), "skip"));
    assert!(twice.is_empty(), "more than one version and no reason in deny.toml: {twice:#?}");
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT", "Apache-2.0", "ISC", "Unicode-3.0"].map(str::to_owned).into();
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "GPL-3.0 / MIT",
        "Apache-2.0 AND ISC",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR MIT",
        "GPL-3.0 AND GPL-2.0 OR MIT AND ISC",
    ] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Apache-2.0) AND GPL-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "MIT AND (GPL-2.0 OR GPL-3.0)",
        "MIT OR",
        "(MIT",
        "MIT ISC",
    ] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}

#[test]
fn doubles_without_a_reason_are_found() {
    let package = |name: &str, version: &str| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        licence: "MIT".to_owned(),
    };
    let packages =
        [package("a", "1.0.0"), package("a", "2.0.0"), package("a", "20.1.0"), package("b", "0.1.0")].into();
    let skipped =
        |specs: &[&str]| unexplained(&packages, &specs.iter().map(|&spec| spec.to_owned()).collect());
    assert_eq!(skipped(&[]), ["a: 1.0.0, 2.0.0, 20.1.0"]);
    assert_eq!(skipped(&["a@2"]), ["a: 1.0.0, 20.1.0"]);
    assert_eq!(skipped(&["a@1", "a@2"]), Vec::<String>::new());
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    licence: String,
}

/// Everything that goes into a build or a test, for the platform of this test.
fn packages() -> BTreeSet<Package> {
    let target = target();
    let args = ["tree", "--workspace", "--all-features", "--edges", "all", "--prefix", "none"];
    let text = cargo(&[&args[..], &["--format", "{p}|{l}", "--target", &target]].concat());
    let packages = text.lines().filter_map(|line| {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.trim_end_matches(" (*)").to_owned(),
        })
    });
    packages.collect()
}

/// Packages of which more than one version is left once those with a reason are gone.
fn unexplained(packages: &BTreeSet<Package>, skip: &BTreeSet<String>) -> Vec<String> {
    let explained = |package: &Package| {
        skip.iter().any(|spec| {
            let (name, version) = spec.split_once('@').unwrap_or((spec, ""));
            name == package.name && package.version.starts_with(&format!("{version}."))
        })
    };
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|package| !explained(package)) {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let twice = versions.into_iter().filter(|(_, versions)| 1 < versions.len());
    twice.map(|(name, versions)| format!("{name}: {}", versions.join(", "))).collect()
}

/// Whether one may use something under the SPDX expression `licence` with the licences `allowed`. An expression
/// that cannot be read permits nothing.
fn permits(licence: &str, allowed: &BTreeSet<String>) -> bool {
    // `/` for OR is how crates wrote it before SPDX expressions.
    let spaced = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) == Some(true) && rest.is_empty()
}

fn either(rest: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut permitted = both(rest, allowed)?;
    while let Some(("OR", after)) = split(rest) {
        *rest = after;
        permitted |= both(rest, allowed)?;
    }
    Some(permitted)
}

fn both(rest: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut permitted = one(rest, allowed)?;
    while let Some(("AND", after)) = split(rest) {
        *rest = after;
        permitted &= one(rest, allowed)?;
    }
    Some(permitted)
}

fn one(rest: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let (word, after) = split(rest)?;
    *rest = after;
    match word {
        "(" => {
            let permitted = either(rest, allowed)?;
            let (")", after) = split(rest)? else { return None };
            *rest = after;
            Some(permitted)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        licence => {
            let mut name = licence.to_owned();
            if let Some(("WITH", after)) = split(rest) {
                let (exception, after) = split(after)?;
                name = format!("{licence} WITH {exception}");
                *rest = after;
            }
            Some(allowed.contains(&name))
        }
    }
}

fn split<'a, 'b>(words: &'b [&'a str]) -> Option<(&'a str, &'b [&'a str])> {
    words.split_first().map(|(word, rest)| (*word, rest))
}

fn deny() -> toml::Table {
    read("deny.toml").parse().expect("deny.toml is TOML")
}

fn strings(deny: &toml::Table, table: &str, key: &str) -> BTreeSet<String> {
    let list = deny[table][key].as_array().expect("a list").iter();
    list.map(|item| item.as_str().expect("a text").to_owned()).collect()
}

fn crates(deny: &toml::Table, key: &str) -> BTreeSet<String> {
    let list = deny["bans"][key].as_array().expect("a list").iter();
    list.map(|item| item["crate"].as_str().expect("a name").to_owned()).collect()
}
