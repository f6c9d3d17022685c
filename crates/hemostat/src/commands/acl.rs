//! `hemostat acl`.

use anyhow::Context as _;
use hemostat_event::Role;
use hemostat_redis::acl::{self, User};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::cli::{AclArgs, AclForm, Output};
use crate::config::Config;
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// Prints the rights of each role; reaches for nothing.
///
/// # Errors
/// When the password cannot be read, or standard output is closed.
pub(crate) fn run(config: &Config, args: &AclArgs) -> Result<(), Failure> {
    let namespace = &config.redis.namespace;
    let password = match &args.password_file {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("failed to read the password file `{}`", path.display()));
            let hash = Sha256::digest(text.or_usage()?.trim_end_matches(['\r', '\n']));
            Some(format!("#{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
        }
    };
    // A whole file has to say of the default user what must not be left out; see its documentation.
    if args.role.is_none() && args.form == AclForm::Aclfile && args.output.output == Output::Table {
        show::line(acl::LOCKED_DEFAULT_USER)?;
    }
    for role in args.role.map_or_else(User::all, |role| vec![role]) {
        let mut rules = acl::rules(role, namespace).expect("the configuration holds a valid namespace");
        if role == User::Role(Role::Bridge) {
            rules.extend(acl::inbound_rules(&config.bridge.inbound, namespace));
        }
        rules.extend(password.clone());
        let user = format!("{}-{role}", namespace.replace(':', "-"));
        match (args.output.output, args.form) {
            (Output::Json, _) => show::json(&json!({ "user": user, "role": role.as_str(), "rules": rules }))?,
            (Output::Table, AclForm::Aclfile) => show::line(&format!("user {user} {}", rules.join(" ")))?,
            (Output::Table, AclForm::Commands) => {
                // A selector has spaces, so it is one argument only in quotes.
                let quoted = rules.iter().map(|rule| match rule.contains(' ') {
                    true => format!("\"{rule}\""),
                    false => rule.clone(),
                });
                let quoted = quoted.collect::<Vec<_>>().join(" ");
                show::line(&format!("ACL SETUSER {user} reset {quoted}"))?;
            }
        }
    }
    Ok(())
}
