//! Where values come from: flag, then environment, then file, then default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::table::{SETTINGS, find, nearest};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `--set key=value`.
    Flag,
    /// An environment variable.
    Environment(String),
    /// The configuration file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("--set"),
            Self::Environment(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The text of every setting that has one.
pub(crate) type Values = BTreeMap<&'static str, (String, Origin)>;

/// Looks an environment variable up.
pub(crate) type LookUp<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a file.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&str) -> std::io::Result<String>;

/// What the process was given, read by the caller: tests need no environment and no files.
#[derive(Default)]
pub(crate) struct Given<'a> {
    /// `--set key=value`, in order.
    pub flags: &'a [String],
    /// The configuration file and its text.
    pub file: Option<(PathBuf, String)>,
    /// Looks an environment variable up.
    pub environment: Option<LookUp<'a>>,
    /// Names of all environment variables.
    pub environment_names: Vec<String>,
    /// Reads a file that a `*_file` setting names.
    pub read_file: Option<ReadFile<'a>>,
}

/// Collects the values, the strongest source last, and every problem on the way.
pub(crate) fn collect(given: &Given<'_>, problems: &mut Vec<String>) -> Values {
    let mut values: Values =
        SETTINGS.iter().map(|setting| (setting.key, (setting.default.to_owned(), Origin::Default))).collect();
    from_file(given, &mut values, problems);
    from_environment(given, &mut values, problems);
    from_flags(given, &mut values, problems);
    values
}

fn from_file(given: &Given<'_>, values: &mut Values, problems: &mut Vec<String>) {
    let Some((path, text)) = &given.file else { return };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        // Without the line itself, which may hold a password.
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            return problems.push(format!("{}, line {line}: {}", path.display(), error.message()));
        }
    };
    let mut flat = Vec::new();
    flatten("", &table, &mut flat);
    for (key, value) in flat {
        set(given, values, problems, &key, value, &Origin::File(path.clone()));
    }
}

fn flatten(prefix: &str, table: &toml::Table, flat: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, flat),
            toml::Value::String(text) => flat.push((key, text.clone())),
            toml::Value::Array(items) => {
                let texts =
                    items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
                flat.push((key, texts.collect::<Vec<_>>().join(",")));
            }
            other => flat.push((key, other.to_string())),
        }
    }
}

fn from_environment(given: &Given<'_>, values: &mut Values, problems: &mut Vec<String>) {
    let Some(look_up) = given.environment else { return };
    python_redis(look_up, values);
    for setting in SETTINGS {
        let variable = setting.variable();
        // An empty variable is what compose files make of an unset one: it says nothing.
        let said = |name: &str| look_up(name).filter(|value| !value.is_empty());
        if let Some((name, value)) = setting.legacy.and_then(|old| said(old).map(|value| (old, value))) {
            values.insert(setting.key, (value, Origin::Environment(name.to_owned())));
        }
        if setting.secret
            && let Some(path) = said(&format!("{variable}_FILE"))
        {
            let origin = Origin::Environment(format!("{variable}_FILE"));
            read_secret(given, values, problems, setting.key, &path, origin);
        }
        if let Some(value) = said(&variable) {
            values.insert(setting.key, (value, Origin::Environment(variable)));
        }
    }
    for name in &given.environment_names {
        if !name.starts_with("HEMOSTAT_") {
            continue;
        }
        // Of some settings the name itself ends so.
        let of_file = name.strip_suffix("_FILE").unwrap_or(name);
        let known = OTHER_VARIABLES.contains(&name.as_str())
            || SETTINGS.iter().any(|setting| [name.as_str(), of_file].contains(&setting.variable().as_str()));
        if !known {
            let near = SETTINGS
                .iter()
                .map(super::table::Setting::variable)
                .min_by_key(|v| strsim::damerau_levenshtein(v, name));
            let hint = near.filter(|v| strsim::damerau_levenshtein(v, name) <= 3);
            problems.push(format!("{name}: no such setting{}", did_you_mean(hint.as_deref())));
        }
    }
}

/// Variables of ours that are not settings.
const OTHER_VARIABLES: &[&str] = &["HEMOSTAT_CONFIG"];

/// The Python HemoStat's variables for its Redis: host, port, password, database.
pub(crate) const PYTHON_REDIS: [&str; 4] = ["REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB"];

/// The Python HemoStat's four variables make one URL.
fn python_redis(look_up: &dyn Fn(&str) -> Option<String>, values: &mut Values) {
    let [host_name, port, password_name, database] = PYTHON_REDIS;
    let Some(host) = look_up(host_name).filter(|host| !host.is_empty()) else { return };
    let or = |name: &str, default: &str| {
        look_up(name).filter(|v| !v.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let password = or(password_name, "");
    let login = if password.is_empty() { String::new() } else { format!(":{}@", percent(&password)) };
    let url = format!("redis://{login}{host}:{}/{}", or(port, "6379"), or(database, "0"));
    values.insert("redis.url", (url, Origin::Environment(host_name.to_owned())));
}

/// Percent-encodes what a URL cannot carry in its password (RFC 3986 section 2.3: all but the unreserved).
fn percent(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn from_flags(given: &Given<'_>, values: &mut Values, problems: &mut Vec<String>) {
    for flag in given.flags {
        match flag.split_once('=') {
            Some((key, value)) => {
                set(given, values, problems, key.trim(), value.trim().to_owned(), &Origin::Flag);
            }
            None => problems.push(format!("--set {flag}: expected key=value")),
        }
    }
}

fn set(
    given: &Given<'_>,
    values: &mut Values,
    problems: &mut Vec<String>,
    key: &str,
    value: String,
    origin: &Origin,
) {
    if let Some(setting) = find(key) {
        values.insert(setting.key, (value, origin.clone()));
        return;
    }
    let file_of = key.strip_suffix("_file").and_then(find).filter(|setting| setting.secret);
    match file_of {
        Some(setting) => read_secret(given, values, problems, setting.key, &value, origin.clone()),
        None => problems.push(format!("{origin}: no setting `{key}`{}", did_you_mean(nearest(key)))),
    }
}

fn read_secret(
    given: &Given<'_>,
    values: &mut Values,
    problems: &mut Vec<String>,
    key: &'static str,
    path: &str,
    origin: Origin,
) {
    let Some(read) = given.read_file else { return };
    match read(path) {
        Ok(text) => {
            values.insert(key, (text.trim_end().to_owned(), origin));
        }
        Err(error) => problems.push(format!("{origin}: cannot read `{path}` for {key}: {error}")),
    }
}

fn did_you_mean(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |hint| format!("; did you mean `{hint}`?"))
}
