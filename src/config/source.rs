//! Where settings come from: the environment, and the file that it names.

use std::collections::{BTreeMap, BTreeSet};

use super::SettingError;

/// The setting that names the file of the others.
pub(super) const FILE: &str = "NADI_CONFIG";
/// The end of a name whose value is the path of a file that holds the secret.
pub(super) const IN_A_FILE: &str = "_FILE";

/// What the process was started with.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with("NADI_")
            .then(|| (name, value.into_string().unwrap_or_else(|_| "\u{fffd}".into())))
    })
}

/// The environment over the file. An empty variable is one that is not set: that is how compose files pass on what nobody
/// gave them.
pub(super) fn gathered(
    environment: impl Iterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, SettingError> {
    let mut values: BTreeMap<String, String> = environment
        .filter(|(name, value)| !injected_by_kubernetes(name) && !value.is_empty())
        .collect();
    said_once(&values)?;
    if let Some(path) = values.get(FILE).cloned() {
        let file: BTreeMap<String, String> = read_file(&path)?.into_iter().collect();
        said_once(&file)?;
        let set: BTreeSet<String> = values.keys().map(|name| setting(name).to_owned()).collect();
        values.extend(file.into_iter().filter(|(name, _)| !set.contains(setting(name))));
    }
    Ok(values)
}

/// The setting that a name gives: `NADI_X_FILE` says where the value of `NADI_X` lies.
fn setting(name: &str) -> &str {
    name.strip_suffix(IN_A_FILE).unwrap_or(name)
}

/// One source does not say a setting twice: which of the two would be meant?
fn said_once(values: &BTreeMap<String, String>) -> Result<(), SettingError> {
    match values.keys().find(|name| setting(name) != *name && values.contains_key(setting(name))) {
        None => Ok(()),
        Some(name) => {
            let plain = setting(name);
            Err(SettingError::bad(plain, format!("either {plain} or {name}, not both")))
        }
    }
}

/// Kubernetes puts these into every container beside a service called nadi.
fn injected_by_kubernetes(name: &str) -> bool {
    name == "NADI_PORT" || name.starts_with("NADI_PORT_") || name.starts_with("NADI_SERVICE_")
}

/// A file's `bind = "…"` is `NADI_BIND`.
fn read_file(path: &str) -> Result<Vec<(String, String)>, SettingError> {
    let text = std::fs::read_to_string(path).map_err(|error| SettingError::File {
        name: FILE.into(),
        path: path.into(),
        error: error.to_string(),
    })?;
    let table: toml::Table = text
        .parse()
        .map_err(|error| SettingError::bad(FILE, format!("TOML in {path}: {error}")))?;
    table
        .into_iter()
        .map(|(key, value)| {
            let name = format!("NADI_{}", key.to_ascii_uppercase());
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(yes) => yes.to_string(),
                toml::Value::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| SettingError::bad(&name, "a list of strings"))?
                    .join(","),
                _ => return Err(SettingError::bad(&name, "a string or a number")),
            };
            Ok((name, value))
        })
        .collect()
}
