//! `hemostat check-config`.

use comfy_table::Color;
use serde_json::json;

use crate::cli::Output;
use crate::config::Config;
use crate::config::source::Origin;
use crate::config::table::SETTINGS;
use crate::exit::Failure;
use crate::show;

mod reference;

/// Prints the reference of all settings, whatever the configuration says.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn reference() -> Result<(), Failure> {
    show::line(&reference::text())
}

/// Shows every value with its origin. A wrong configuration was refused before this is reached.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn run(config: &Config, output: Output) -> Result<(), Failure> {
    let mut table = show::table(&["setting", "value", "from"]);
    for setting in SETTINGS {
        let (value, origin) = &config.values[setting.key];
        match output {
            Output::Json => show::json(&json!({
                "setting": setting.key,
                "value": value,
                "origin": origin.to_string(),
                "variable": setting.variable(),
                "default": setting.default,
                "help": setting.help,
            }))?,
            Output::Table => {
                let chosen = (*origin != Origin::Default).then_some(Color::Cyan);
                let shown = if value.is_empty() { "-" } else { value };
                table.add_row([show::coloured(setting.key, chosen), shown.into(), origin.to_string().into()]);
            }
        }
    }
    match output {
        Output::Json => Ok(()),
        Output::Table => {
            show::print(&table, "")?;
            show::line("\nThe configuration is valid.")
        }
    }
}
