//! The description of the API: what poem-openapi derives, completed with what it cannot know: each operation's roles, the
//! parameters of its query, and the headers that our own extractors read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use poem_openapi::registry::{MetaApi, MetaOperation, MetaParamIn};
use serde_json::{Value, json};

use crate::auth::may::PERMISSIONS;

/// Which methods a path has, and what each takes. Made from what the description is made from (a test holds them together),
/// not from itself, which is large and seldom read.
#[derive(Default)]
pub struct Operations {
    /// By what comes after `/api/v1/`: each request looks here, and there are some hundred and fifty.
    below: HashMap<String, Vec<Path>>,
}

type Path = (Vec<Segment>, BTreeMap<String, Takes>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Fixed(String),
    Any,
}

/// What an operation reads of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Takes {
    pub query: bool,
    pub body: bool,
    /// Says who calls: it looks at `Authorization`.
    pub token: bool,
}

impl Operations {
    /// Those that poem-openapi knows, and those of paths that are described by hand.
    pub fn of(apis: &[MetaApi], by_hand: &Value) -> Self {
        let derived = apis.iter().flat_map(|api| &api.paths).map(|path| {
            let methods = path.operations.iter();
            (
                path.path.as_str(),
                methods.map(|one| (one.method.to_string(), Takes::of(one))).collect(),
            )
        });
        let by_hand = by_hand.as_object().into_iter().flatten().map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            let takes = |(method, one): (&String, &Value)| {
                (method.to_ascii_uppercase(), Takes::of_described(one))
            };
            (path.as_str(), methods.map(takes).collect())
        });
        let mut operations = Self::default();
        for (path, methods) in derived.chain(by_hand) {
            let (first, segments) = split(path);
            operations.below.entry(first.to_owned()).or_default().push((segments, methods));
        }
        // What is spelled out goes before what may be anything, as in routing.
        let all = operations.below.values_mut();
        all.for_each(|paths| paths.sort_by(|(one, _), (other, _)| one.cmp(other)));
        operations
    }

    /// The methods of each path that fits: `/users/me` fits `/users/{id}` too.
    fn find(&self, path: &str) -> impl Iterator<Item = &BTreeMap<String, Takes>> {
        let path = path.strip_prefix("/api/v1/").unwrap_or_default();
        let first = path.split('/').next().unwrap_or_default();
        let fits = move |segments: &[Segment]| {
            let mut parts = path.split('/').skip(1);
            segments.iter().all(|segment| match (segment, parts.next()) {
                (Segment::Fixed(fixed), Some(part)) => fixed == part,
                (Segment::Any, Some(part)) => !part.is_empty(),
                (_, None) => false,
            }) && parts.next().is_none()
        };
        let paths = self.below.get(first).into_iter().flatten();
        paths.filter(move |(segments, _)| fits(segments)).map(|(_, methods)| methods)
    }

    /// The methods that a path has, for `Allow`.
    pub fn allowed(&self, path: &str) -> String {
        let mut methods: BTreeSet<&str> =
            self.find(path).flat_map(|methods| methods.keys().map(String::as_str)).collect();
        if methods.contains("GET") {
            methods.insert("HEAD");
        }
        methods.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// What the operation reads; nothing where there is none.
    pub fn takes(&self, method: &str, path: &str) -> Takes {
        let method = if method == "HEAD" { "GET" } else { method };
        self.find(path).find_map(|methods| methods.get(method)).copied().unwrap_or_default()
    }
}

impl Takes {
    fn of(operation: &MetaOperation) -> Self {
        Self {
            query: operation.params.iter().any(|parameter| parameter.in_type == MetaParamIn::Query),
            body: operation.request.is_some(),
            token: !operation.security.is_empty(),
        }
    }

    fn of_described(operation: &Value) -> Self {
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        Self {
            query: parameters.any(|parameter| parameter["in"] == "query"),
            body: operation["requestBody"].is_object(),
            token: operation["security"].as_array().is_some_and(|all| !all.is_empty()),
        }
    }
}

/// `/users/{id}`: `users`, which is a word in every path, and what follows it.
fn split(path: &str) -> (&str, Vec<Segment>) {
    let mut parts = path.trim_start_matches('/').split('/');
    let first = parts.next().unwrap_or_default();
    let segments = parts.map(|part| match part.starts_with('{') {
        true => Segment::Any,
        false => Segment::Fixed(part.to_owned()),
    });
    (first, segments.collect())
}

/// Completes a derived description.
///
/// # Panics
/// When poem-openapi's own output is no JSON, which it never is.
pub fn complete(derived: &str) -> Value {
    let mut description: Value = serde_json::from_str(derived).expect("poem-openapi writes JSON");
    let schemas = description["components"]["schemas"].clone();
    if let Some(paths) = description["paths"].as_object_mut() {
        // Routes take whole segments: what a name ends with is looked at by its reader, and written here.
        if let Some(feed) = paths.remove("/calendar/{feed_token}") {
            paths.insert("/calendar/{feed_token}.ics".to_owned(), feed);
        }
        for (path, methods) in paths.iter_mut() {
            for (method, operation) in methods.as_object_mut().into_iter().flatten() {
                // Grouped by what they are about: `/appointments/{id}` under `appointments`.
                operation["tags"] = json!([path.split('/').nth(1).unwrap_or_default()]);
                if operation["parameters"].is_null() {
                    operation["parameters"] = json!([]); // derived as null where there is none
                }
                expand_query(operation, &schemas);
                name_roles(operation);
                add_headers(operation, method, path);
            }
        }
    }
    description["components"]["securitySchemes"] =
        json!({ "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } });
    description
}

/// One parameter for each property of the query's schema.
fn expand_query(operation: &mut Value, schemas: &Value) {
    let Some(parameters) = operation["parameters"].as_array_mut() else { return };
    let mut expanded = Vec::new();
    for parameter in std::mem::take(parameters) {
        let reference = parameter["schema"]["$ref"].as_str().unwrap_or_default();
        let schema = reference.rsplit('/').next().map(|name| &schemas[name]);
        match schema {
            Some(schema) if parameter["in"] == "query" && schema.is_object() => {
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                    let mut property = property.clone();
                    let words = property.as_object_mut().and_then(|p| p.remove("description"));
                    let mut one = json!({
                        "name": name,
                        "in": "query",
                        "required": required.contains(&json!(name)),
                        "schema": property,
                    });
                    if let Some(words) = words {
                        one["description"] = words;
                    }
                    expanded.push(one);
                }
            }
            _ => expanded.push(parameter),
        }
    }
    *parameters = expanded;
}

/// The permission, and the roles that have it, where a reader and a tool both see them.
fn name_roles(operation: &mut Value) {
    let security = operation["security"].as_array().and_then(|all| all.first());
    let name = security.and_then(Value::as_object).and_then(|one| one.keys().next()).cloned();
    let Some(name) = name else {
        operation["security"] = json!([]);
        return;
    };
    let roles: Vec<&str> = PERMISSIONS
        .iter()
        .find(|(permission, _)| *permission == name)
        .map(|(_, roles)| roles.iter().map(|role| role.as_str()).collect())
        .unwrap_or_default();
    operation["security"] = json!([{ "bearer": [] }]);
    operation["x-permission"] = json!(name);
    let words = operation["description"].as_str().unwrap_or_default().to_owned();
    let list = roles.join(", ");
    operation["description"] = json!(format!("{words}\n\nRoles: {list}.").trim());
    operation["x-roles"] = json!(roles);
}

/// Headers that our own extractors read: `If-Match` on changes, `Idempotency-Key` on `POST`.
fn add_headers(operation: &mut Value, method: &str, path: &str) {
    let mut header = |name: &str, required: bool, words: &str| {
        let parameter = json!({
            "name": name, "in": "header", "required": required, "description": words,
            "schema": { "type": "string" },
        });
        if let Some(operation) = operation.as_object_mut() {
            let list = operation.entry("parameters").or_insert_with(|| json!([]));
            list.as_array_mut().into_iter().for_each(|list| list.push(parameter.clone()));
        }
    };
    match method {
        "put" | "patch" => header("If-Match", true, "The ETag of the version that you have seen."),
        "delete" if !path.starts_with("/auth/") => {
            header("If-Match", false, "Honoured when given.")
        }
        "post" if !path.starts_with("/auth/") => header(
            "Idempotency-Key",
            false,
            "The same key and body within 24 hours gives the first answer again.",
        ),
        "get" if path == "/live" => header(
            "Last-Event-ID",
            false,
            "The id of the last event that was heard: what came since is told first.",
        ),
        _ => {}
    }
}
