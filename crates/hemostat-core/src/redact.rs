//! Takes secrets out of text that leaves the container: log lines, health-check output.
//!
//! What is taken out is replaced by `[redacted]` and counted. The rules look for values behind secret-like names
//! and for tokens whose form gives them away; they prefer to take out too much.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

/// What stands in the place of a secret.
const MARK: &str = "[redacted]";

fn rule(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns are fixed and a test compiles them")
}

/// In order: whole blocks first, then forms, then names, because an earlier replacement hides nothing from a later
/// one. Every pattern has one group, `keep`, that stays.
static RULES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    vec![
        // Private keys, whole.
        rule(r"(?s)(?<keep>)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"),
        // JSON Web Tokens: three base64url parts, the first of which encodes `{"`.
        rule(r"(?<keep>)\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"),
        // Tokens with a prefix that names their issuer: AWS, GitHub, Slack, Stripe and OpenAI, Google.
        rule(
            r"(?<keep>)\b(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|xox[abeoprs]-[A-Za-z0-9-]{8,}|[spr]k[-_](?:live|test|ant|proj)?[-_]?[A-Za-z0-9_-]{16,}|AIza[A-Za-z0-9_-]{30,})",
        ),
        rule(r"(?<keep>hooks\.slack\.com/services/)[A-Za-z0-9/_-]+"),
        // user:password@ in URLs (RFC 3986 section 3.2.1), up to the last @: a password may hold one unescaped.
        rule(r"(?<keep>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@]*:)[^\s/]+(?:@)"),
        // Authorization headers and the like: the scheme stays.
        rule(r"(?i)(?<keep>\b(?:bearer|basic|digest|negotiate)\s+)[A-Za-z0-9+/=._~-]{8,}"),
        // name = value, name: value, "name": "value", --name value. The value may be quoted.
        rule(
            r#"(?i)(?<keep>(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_ ]?key|access[-_ ]?key|private[-_ ]?key|credentials?|auth(?:orization)?|cookie|session[-_ ]?id)[a-z0-9_-]*["']?\s*(?:=>|[=:]|\s)\s*)(?:"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|[^\s,;"'&\[\]]+)"#,
        ),
    ]
});

/// Takes secrets out of `text` and control characters with them; answers with the text and the number of secrets.
#[must_use]
pub fn redact(text: &str) -> (String, u32) {
    let mut count = 0;
    let shown = |c: &char| matches!(c, '\n' | '\t') || !c.is_control() && !is_hidden(*c);
    let mut clean: String = text.chars().filter(shown).collect();
    for rule in RULES.iter() {
        let replaced = rule.replace_all(&clean, |found: &Captures<'_>| {
            let keep = &found["keep"];
            // A name followed by an ordinary word ("token expired") is prose, not an assignment.
            let value = &found[0][keep.len()..];
            if keep.ends_with(char::is_whitespace) && !keep.contains(['=', ':']) && is_word(value) {
                return found[0].to_owned();
            }
            count += 1;
            let at = if value.ends_with('@') { "@" } else { "" };
            format!("{keep}{MARK}{at}")
        });
        clean = replaced.into_owned();
    }
    (clean, count)
}

/// Whether a character hides itself or turns the writing direction (Unicode TR 36, section 2.5): a text with such
/// characters reads otherwise than it is.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A short text of letters only: more likely prose than a secret.
fn is_word(value: &str) -> bool {
    value.len() <= 12 && value.trim_end_matches(['.', '!', '?', ')']).chars().all(|c| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_taken_out_and_counted() {
        for (text, expected) in [
            ("password=hunter2 user=bob", "password=[redacted] user=bob"),
            ("DB_PASSWORD: s3cr3t!", "DB_PASSWORD: [redacted]"),
            (r#"{"api_key": "abc def", "x": 1}"#, r#"{"api_key": [redacted], "x": 1}"#),
            ("Authorization: Bearer abcdefgh.ijkl", "Authorization: [redacted] [redacted]"),
            ("postgres://app:pw@db:5432/x", "postgres://app:[redacted]@db:5432/x"),
            ("redis://:p@ss@cache/0", "redis://:[redacted]@cache/0"),
            ("pass\u{200b}word=hunter2", "password=[redacted]"),
            ("key AKIAABCDEFGHIJKLMNOP in use", "key [redacted] in use"),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123", "[redacted]"),
            ("https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/services/[redacted]"),
            ("mysql --password S3cret99", "mysql --password [redacted]"),
            ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nok", "[redacted]\nok"),
        ] {
            let (clean, count) = redact(text);
            assert_eq!(clean, expected);
            assert!(0 < count, "{text}");
        }
    }

    #[test]
    fn ordinary_lines_stay_as_they_are() {
        for text in [
            "GET /health 200 in 12 ms",
            "connection refused: db:5432",
            "listening on http://0.0.0.0:8080/",
            "session token expired",
            "2026-11-24T05:27:17Z worker started",
        ] {
            assert_eq!(redact(text), (text.to_owned(), 0));
        }
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(redact("a\x1b[31mb\r\nc\td").0, "a[31mb\nc\td");
        assert_eq!(redact("exe\u{202e}gpj.sh").0, "exegpj.sh");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,400}") {
            let _clean = redact(&text);
        }

        #[test]
        fn a_planted_password_never_gets_through(
            before in "[a-z ]{0,20}", secret in "[A-Za-z0-9]{6}[0-9][A-Z]", after in "[ ,;][a-z ]{0,20}",
            name in "(password|PASSWORD|db_password|api_key|SECRET|auth_token)", sign in "(=|: |=\")",
        ) {
            let (clean, _) = redact(&format!("{before} {name}{sign}{secret}{after}"));
            prop_assert!(!clean.contains(&secret), "{clean}");
        }
    }
}
