//! A stand-in for Meta's Cloud API. It knows two numbers with their tokens, the templates it is told of, and the files it
//! was given; what Meta would refuse it refuses, with Meta's codes.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Call, Judged, ProviderServer};

/// The first clinic's number; the demo's, too.
pub const PHONE: &str = "100000000000001";
pub const TOKEN: &str = "EAAtest-token-of-the-first-clinic";
pub const APP_SECRET: &str = "demo-app-secret";

#[derive(Clone, Copy)]
enum Kind {
    Code,
    Utility { parameters: usize, replies: usize, document: bool },
}

#[derive(Default)]
struct World {
    /// Token by phone number id.
    numbers: HashMap<String, String>,
    templates: HashMap<(String, String), Kind>,
    files: HashSet<String>,
    /// Who wrote within a day.
    open_windows: HashSet<String>,
    pair_interval: Duration,
    last: HashMap<(String, String), Instant>,
    count: usize,
}

/// The server. It also is a [`ProviderServer`]: faults, log and complaints are there.
pub struct WhatsappServer {
    server: ProviderServer,
    world: Arc<Mutex<World>>,
}

impl Deref for WhatsappServer {
    type Target = ProviderServer;

    fn deref(&self) -> &ProviderServer {
        &self.server
    }
}

impl WhatsappServer {
    /// It knows [`PHONE`] with [`TOKEN`], and no template yet.
    pub async fn start() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let judging = world.clone();
        let server = ProviderServer::start(move |call| judging.lock().unwrap().judge(call)).await;
        let server = Self { server, world };
        server.knows_number(PHONE, TOKEN);
        server
    }

    /// `NADI_WHATSAPP_BASE_URL`
    pub fn setting(&self) -> (&'static str, String) {
        ("NADI_WHATSAPP_BASE_URL", self.url())
    }

    pub fn knows_number(&self, phone_number_id: &str, token: &str) {
        self.world().numbers.insert(phone_number_id.to_owned(), token.to_owned());
    }

    /// An authentication template.
    pub fn knows_code_template(&self, name: &str, language: &str) {
        self.world().templates.insert((name.to_owned(), language.to_owned()), Kind::Code);
    }

    /// A utility template with so many parameters and quick-reply buttons.
    pub fn knows_template(&self, name: &str, language: &str, parameters: usize, replies: usize) {
        let kind = Kind::Utility { parameters, replies, document: false };
        self.world().templates.insert((name.to_owned(), language.to_owned()), kind);
    }

    /// The same with a document at its head.
    pub fn knows_document_template(&self, name: &str, language: &str, parameters: usize) {
        let kind = Kind::Utility { parameters, replies: 0, document: true };
        self.world().templates.insert((name.to_owned(), language.to_owned()), kind);
    }

    /// This person wrote within a day.
    pub fn opens_window(&self, number: &str) {
        self.world().open_windows.insert(number.to_owned());
    }

    /// How far apart messages to one person must be. At first not at all: Meta lends bursts against later.
    pub fn holds_pairs_to(&self, interval: Duration) {
        self.world().pair_interval = interval;
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

/// The HTTP status, Meta's code, and what is wrong.
type Refusal = (u16, i64, String);

fn check(fine: bool, status: u16, code: i64, what: &str) -> Result<(), Refusal> {
    if fine { Ok(()) } else { Err((status, code, what.to_owned())) }
}

impl World {
    fn judge(&mut self, call: &Call) -> Judged {
        match self.take(call) {
            Ok(judged) => judged,
            Err((status, code, what)) => {
                let error = json!({ "error": {
                    "message": format!("(#{code}) {what}"), "type": "OAuthException", "code": code,
                    "error_data": { "messaging_product": "whatsapp", "details": what },
                    "fbtrace_id": "A1b2C3",
                } });
                Judged::refused(status, error, format!("{code} {what}: {}", call.target))
            }
        }
    }

    fn take(&mut self, call: &Call) -> Result<Judged, Refusal> {
        let parts: Vec<&str> = call.path().trim_matches('/').split('/').collect();
        let [version, number, what] = parts[..] else {
            return Err((404, 2500, "unknown path components".into()));
        };
        check(call.method == "POST", 405, 100, "only POST")?;
        let dotted = version.strip_prefix('v').and_then(|version| version.split_once('.'));
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        check(dotted.is_some_and(|(a, b)| plain(a) && plain(b)), 400, 2500, "no version")?;
        let token = self.numbers.get(number).cloned();
        let Some(token) = token else { return Err((400, 100, "unknown phone number id".into())) };
        check(call.header("authorization") == format!("Bearer {token}"), 401, 190, "bad token")?;
        match what {
            "media" => self.take_file(call),
            "messages" => self.take_message(number, call),
            _ => Err((404, 2500, "unknown path components".into())),
        }
    }

    fn take_file(&mut self, call: &Call) -> Result<Judged, Refusal> {
        let kind = call.header("content-type");
        let boundary = kind.strip_prefix("multipart/form-data; boundary=");
        let Some(boundary) = boundary else { return Err((400, 100, "no multipart".into())) };
        let body = String::from_utf8_lossy(&call.body);
        let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
        let part = |name: &str| {
            let named = format!("name=\"{name}\"");
            parts
                .iter()
                .find(|part| part.contains(&named))
                .and_then(|part| part.split_once("\r\n\r\n"))
        };
        let value = |name| part(name).map(|(_, value)| value.trim_end_matches("\r\n").to_owned());
        check(parts.last() == Some(&"--\r\n"), 400, 100, "the multipart has no end")?;
        check(value("messaging_product").as_deref() == Some("whatsapp"), 400, 100, "product")?;
        let Some(mime) = value("type") else { return Err((400, 131008, "no type".into())) };
        let Some((head, file)) = part("file") else { return Err((400, 131008, "no file".into())) };
        check(head.contains(&format!("Content-Type: {mime}")), 400, 131053, "types differ")?;
        check(head.contains("filename=\"") && file.len() > 2, 400, 131053, "an empty file")?;
        self.count += 1;
        let id = format!("{}", 900_000_000_000_000 + self.count);
        self.files.insert(id.clone());
        Ok(Judged { status: 200, answer: json!({ "id": id }), taken: None, complaint: None })
    }

    fn take_message(&mut self, number: &str, call: &Call) -> Result<Judged, Refusal> {
        let message = call.json();
        check(call.header("content-type") == "application/json", 400, 100, "not JSON")?;
        check(message["messaging_product"] == "whatsapp", 400, 100, "messaging_product")?;
        check(message["recipient_type"] == "individual", 400, 100, "recipient_type")?;
        let to = message["to"].as_str().unwrap_or_default();
        let digits = (8..=15).contains(&to.len()) && to.bytes().all(|byte| byte.is_ascii_digit());
        check(digits && !to.starts_with('0'), 400, 131009, "the number is not E.164")?;
        match message["type"].as_str() {
            Some("template") => self.template(&message["template"])?,
            Some("interactive") => {
                check(self.open_windows.contains(to), 400, 131047, "no open window")?;
                interactive(&message["interactive"])?;
            }
            Some("document") => {
                check(self.open_windows.contains(to), 400, 131047, "no open window")?;
                self.document(&message["document"])?;
            }
            _ => return Err((400, 131051, "this type is not supported".into())),
        }
        let pair = (number.to_owned(), to.to_owned());
        let soon = |last: &Instant| last.elapsed() < self.pair_interval;
        check(!self.last.get(&pair).is_some_and(soon), 400, 131056, "too fast to one person")?;
        self.last.insert(pair, Instant::now());
        self.count += 1;
        let id = format!("wamid.{number}.{}", self.count);
        let answer = json!({
            "messaging_product": "whatsapp",
            "contacts": [{ "input": to, "wa_id": to }],
            "messages": [{ "id": id, "message_status": "accepted" }],
        });
        Ok(Judged::taken(200, answer, id, to.to_owned(), message.clone()))
    }

    fn template(&self, template: &Value) -> Result<(), Refusal> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let known = (text(&template["name"]), text(&template["language"]["code"]));
        let Some(kind) = self.templates.get(&known) else {
            return Err((404, 132001, format!("no template {} in {}", known.0, known.1)));
        };
        let none = Vec::new();
        let components = template["components"].as_array().unwrap_or(&none);
        let of = |kind: &'static str| components.iter().filter(move |c| c["type"] == kind);
        let body: Vec<String> = of("body")
            .flat_map(|body| body["parameters"].as_array().unwrap_or(&none))
            .map(|parameter| text(&parameter["text"]))
            .collect();
        for parameter in &body {
            let spaced = parameter.contains(['\n', '\t']) || parameter.contains("     ");
            check(!parameter.is_empty() && !spaced, 400, 132012, "a parameter's format")?;
            check(parameter.chars().count() <= 1024, 400, 132005, "a parameter is too long")?;
        }
        let buttons: Vec<&Value> = of("button").collect();
        match kind {
            Kind::Code => {
                check(body.len() == 1 && buttons.len() == 1, 400, 132000, "the code comes twice")?;
                let button = buttons[0];
                let places = button["sub_type"] == "url" && button["index"] == "0";
                check(places, 400, 132012, "the code's button")?;
                let same = text(&button["parameters"][0]["text"]) == body[0];
                check(same && body[0].len() <= 15, 400, 132012, "the code differs or is too long")
            }
            Kind::Utility { parameters, replies, document } => {
                let counts = body.len() == *parameters && buttons.len() == *replies;
                check(counts, 400, 132000, "the number of parameters")?;
                for (place, button) in buttons.iter().enumerate() {
                    let payload = text(&button["parameters"][0]["payload"]);
                    let fits = button["sub_type"] == "quick_reply"
                        && button["index"].as_str() == Some(&*place.to_string())
                        && button["parameters"][0]["type"] == "payload"
                        && (1..=256).contains(&payload.len());
                    check(fits, 400, 132012, "a button")?;
                }
                let head: Vec<&Value> = of("header").collect();
                check(head.len() == usize::from(*document), 400, 132012, "the header")?;
                head.iter().try_for_each(|head| self.document(&head["parameters"][0]["document"]))
            }
        }
    }

    fn document(&self, document: &Value) -> Result<(), Refusal> {
        let id = document["id"].as_str().unwrap_or_default();
        check(document["link"].is_null(), 400, 100, "a link would have to be public")?;
        check(document["filename"].is_string(), 400, 131008, "no filename")?;
        check(self.files.contains(id), 400, 131053, "unknown media id")
    }
}

fn interactive(message: &Value) -> Result<(), Refusal> {
    let buttons = message["action"]["buttons"].as_array().cloned().unwrap_or_default();
    let text = message["body"]["text"].as_str().unwrap_or_default();
    check(message["type"] == "button", 400, 131009, "interactive type")?;
    check((1..=3).contains(&buttons.len()), 400, 131009, "one to three buttons")?;
    check((1..=1024).contains(&text.chars().count()), 400, 131009, "the text's length")?;
    let mut titles = HashSet::new();
    for button in &buttons {
        let title = button["reply"]["title"].as_str().unwrap_or_default();
        let id = button["reply"]["id"].as_str().unwrap_or_default();
        let fits = (1..=20).contains(&title.chars().count()) && (1..=256).contains(&id.len());
        check(fits && button["type"] == "reply", 400, 131009, "a button")?;
        check(titles.insert(title), 400, 131009, "two buttons with one title")?;
    }
    Ok(())
}
