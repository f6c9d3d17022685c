//! The reference of all settings, from the table that declares them.

use std::fmt::Write as _;

use crate::config::source::PYTHON_REDIS;
use crate::config::table::{SETTINGS, Setting};

/// The text of `docs/configuration.md`.
pub(super) fn text() -> String {
    let mut text = String::from(HEAD);
    let mut last = None;
    for setting in SETTINGS {
        let section = setting.key.split_once('.').map(|(section, _)| section);
        if last != Some(section) {
            let title = section.map_or_else(|| "Of the whole".to_owned(), |section| format!("`{section}`"));
            write!(
                text,
                "\n## {title}\n\n| setting | variable | of the Python HemoStat | default | means |\n|---|---|---|---|---|\n"
            )
            .expect(FITS);
            last = Some(section);
        }
        row(&mut text, setting);
    }
    text
}

fn row(text: &mut String, setting: &Setting) {
    let Setting { key, help, default, secret, .. } = setting;
    // A secret has no default, and its value is never shown.
    let file = if *secret { format!(", in a file: `{key}_file`") } else { String::new() };
    let in_file = if *secret { format!(", `{}_FILE`", setting.variable()) } else { String::new() };
    let old = if *key == "redis.url" { PYTHON_REDIS.to_vec() } else { setting.legacy.into_iter().collect() };
    let old = old.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
    let help = help.replace('|', "\\|");
    writeln!(text, "| `{key}`{file} | `{}`{in_file} | {old} | {default} | {help} |", setting.variable())
        .expect(FITS);
}

const FITS: &str = "writing to a string does not fail";
const HEAD: &str = "# Configuration

Made by `hemostat check-config --reference`; a test holds it to the code.

Flag > environment > file > default. A flag is `--set responder.cooldown=30m`; the file is TOML, named by `--config` or
`HEMOSTAT_CONFIG`, with a table per section:

```toml
[responder]
cooldown = \"30m\"

[alert]
slack_url_file = \"/run/secrets/slack_url\"
```

Times are `90s`, `5m`, `1h 30m`; a bare number is seconds. Yes and no are `true` and `false`. Where a list has no form of its
own, it is separated by commas. An empty variable says nothing. A variable of ours wins over one of the Python HemoStat that
means the same.

A secret may stand in a file instead: its path is given as the setting or variable with `_file` at the end. `check-config`
never shows it.

All problems are reported at once, with exit code 2, and nothing starts: a value that cannot be read or is out of its range, a
setting that does not exist (with the nearest that does), a variable that begins with `HEMOSTAT_` and is none. `hemostat
check-config` says where each value came from.
";
