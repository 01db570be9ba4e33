//! A gateway as small countries' operators have them: a key, a number and a text, in whatever shape they come.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::server::{Call, Judged, ProviderServer};

pub struct GatewayServer(ProviderServer);

impl Deref for GatewayServer {
    type Target = ProviderServer;

    fn deref(&self) -> &ProviderServer {
        &self.0
    }
}

impl GatewayServer {
    /// Wants `to`, `text` and `key` in a query, a form or JSON, and answers `{"result": {"ok": true, "id": "gw-1"}}`.
    pub async fn start(key: &str) -> Self {
        let key = key.to_owned();
        let count = AtomicUsize::new(0);
        let judge = move |call: &Call| {
            let mut fields = call.query();
            match call.header("content-type") {
                "application/json" => {
                    let body = call.json();
                    let texts = body.as_object().into_iter().flatten();
                    fields.extend(
                        texts.filter_map(|(n, v)| Some((n.clone(), v.as_str()?.to_owned()))),
                    );
                }
                "application/x-www-form-urlencoded" => fields.extend(call.form()),
                _ => {}
            }
            let given = fields.get("key").map(String::as_str).unwrap_or(call.header("x-key"));
            let number = fields.get("to").is_some_and(|to| to.trim_start_matches('+').len() >= 8);
            let answer = |code| json!({ "result": { "ok": false, "code": code } });
            if given != key {
                return Judged::refused(200, answer("E_KEY"), "the key is wrong");
            }
            if !number || fields.get("text").is_none_or(String::is_empty) {
                return Judged::refused(200, answer("E_FIELD"), "a field is missing");
            }
            let id = format!("gw-{}", count.fetch_add(1, Ordering::Relaxed) + 1);
            let answer = json!({ "result": { "ok": true, "id": id } });
            Judged::taken(200, answer, id, fields["to"].clone(), json!(fields))
        };
        Self(ProviderServer::start(judge).await)
    }
}
