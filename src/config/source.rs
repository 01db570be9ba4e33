//! Where settings come from: the environment, and the file that it names.

use std::collections::BTreeMap;

use super::SettingError;

/// The setting that names the file of the others.
pub(super) const FILE: &str = "NADI_CONFIG";

/// What the process was started with.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with("NADI_")
            .then(|| (name, value.into_string().unwrap_or_else(|_| "\u{fffd}".into())))
    })
}

/// The environment over the file. An empty variable is one that is not set.
pub(super) fn gathered(
    environment: impl Iterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, SettingError> {
    let mut values: BTreeMap<String, String> = environment
        .filter(|(name, value)| !injected_by_kubernetes(name) && !value.is_empty())
        .collect();
    if let Some(path) = values.get(FILE).cloned() {
        for (name, value) in read_file(&path)? {
            values.entry(name).or_insert(value);
        }
    }
    Ok(values)
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
