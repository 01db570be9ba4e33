//! A stand-in for MSG91: flows with named variables, failures with 200, reports in its two shapes.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::server::{Call, Judged, ProviderServer};
use super::webhook::Webhook;

#[derive(Default)]
struct World {
    auth_key: String,
    /// Variables by template.
    templates: HashMap<String, BTreeSet<String>>,
    count: usize,
}

pub struct Msg91Server {
    server: ProviderServer,
    world: Arc<Mutex<World>>,
}

impl Deref for Msg91Server {
    type Target = ProviderServer;

    fn deref(&self) -> &ProviderServer {
        &self.server
    }
}

impl Msg91Server {
    /// It knows one key, and no template yet.
    pub async fn start(auth_key: &str) -> Self {
        let world = World { auth_key: auth_key.to_owned(), ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let judging = world.clone();
        let server = ProviderServer::start(move |call| judging.lock().unwrap().judge(call)).await;
        Self { server, world }
    }

    /// `NADI_SMS_BASE_URL`
    pub fn setting(&self) -> (&'static str, String) {
        ("NADI_SMS_BASE_URL", self.url())
    }

    pub fn knows_template(&self, id: &str, variables: &[&str]) {
        let variables = variables.iter().map(|name| (*name).to_owned()).collect();
        self.world.lock().unwrap().templates.insert(id.to_owned(), variables);
    }

    /// A report in the older shape: JSON as a text in a form.
    pub fn report_v2(request_id: &str, number: &str, status: &str) -> Webhook {
        let data = json!([{ "senderId": "SHANTI", "requestId": request_id, "report": [
            { "date": "2026-11-21 15:30:00", "number": number, "status": status, "desc": "x" }
        ] }]);
        Webhook::form("/webhooks/sms/msg91", &[("data", &data.to_string())])
    }

    /// A report in the newer shape.
    pub fn report_v3(request_id: &str, number: &str, status: &str) -> Webhook {
        let event = json!({
            "requestId": request_id, "number": number, "status": status, "desc": "x",
            "date": "2026-11-21 15:30:00",
        });
        Webhook::json("/webhooks/sms/msg91", &event)
    }
}

fn error(code: &str, says: &str, call: &Call) -> Judged {
    // Its failures come with 200.
    let answer = json!({ "type": "error", "message": says, "code": code });
    Judged::refused(200, answer, format!("{code} {says}: {}", call.target))
}

impl World {
    fn judge(&mut self, call: &Call) -> Judged {
        let body = call.json();
        if (call.method.as_str(), call.path()) != ("POST", "/api/v5/flow") {
            return Judged::refused(404, json!({}), format!("no such path: {}", call.target));
        }
        if call.header("authkey") != self.auth_key {
            return error("207", "Invalid authkey", call);
        }
        let template_id = body["template_id"].as_str().unwrap_or_default();
        let Some(variables) = self.templates.get(template_id) else {
            return error("400", "Flow id missing", call);
        };
        let recipients = body["recipients"].as_array().cloned().unwrap_or_default();
        let [Value::Object(recipient)] = &recipients[..] else {
            return error("101", "Missing mobile no.", call);
        };
        let to = recipient.get("mobiles").and_then(Value::as_str).unwrap_or_default();
        if to.len() < 10 || !to.bytes().all(|byte| byte.is_ascii_digit()) {
            return error("202", "Invalid mobile number", call);
        }
        let given: BTreeSet<String> =
            recipient.keys().filter(|name| *name != "mobiles").cloned().collect();
        let short = recipient.values().all(|v| v.as_str().is_some_and(|v| v.chars().count() <= 30));
        if given != *variables || !short {
            return error("400", "the variables differ, or one is too long", call);
        }
        self.count += 1;
        let id = format!("3763646c3058373530393{:05}", self.count);
        let answer = json!({ "type": "success", "message": id });
        Judged::taken(200, answer, id, to.to_owned(), body.clone())
    }
}
