//! WhatsApp by Meta's Cloud API: sending, and what its webhook brings. An answer of 200 means accepted, not delivered.

mod content;
pub mod errors;
pub mod webhook;

pub use content::{Button, Content, Document};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::http::{Http, Reply, Request, secret_value};
use super::{Accepted, Failure, Outcome, Outgoing, digits};
use crate::ids::{ClinicId, MessageId};

/// Messages a second that one number may send.
pub const PER_SECOND: u32 = 80;
/// The same of a number that is also in use on a telephone.
pub const PER_SECOND_COEXISTING: u32 = 20;
/// Larger files are refused before they travel.
const LARGEST_FILE: usize = 100 * 1024 * 1024;

/// A clinic's sending number.
#[derive(Clone, Debug)]
pub struct Account {
    /// From the platform's settings; a clinic cannot choose it.
    pub base: Url,
    /// `v23.0`
    pub version: String,
    pub phone_number_id: String,
    pub token: SecretString,
}

/// A file to hand over. It has no `Debug`: it is a patient's.
pub struct File {
    pub bytes: Vec<u8>,
    pub mime: String,
    pub filename: String,
}

impl Account {
    /// The host that calls go to.
    pub fn host(&self) -> Option<&str> {
        self.base.host_str()
    }

    /// Sends one message.
    ///
    /// # Errors
    /// Why it was not accepted.
    pub async fn send(&self, http: &Http, message: &Outgoing<Content>) -> Outcome {
        let to = digits(&message.to)?;
        let body = message.content.on_the_wire(to, &message.message_id.to_string())?;
        let request = self.signed(Request::json(self.url("messages")?, &body))?;
        let reply = http.call(message.clinic_id, message.lane, message.time_left, request).await?;
        accepted(&reply)
    }

    /// Hands a file over, and gives the id by which messages name it. Ids live thirty days.
    ///
    /// # Errors
    /// Why it was not taken. A 4xx must not be tried again: five failures bar the number for an hour.
    pub async fn upload(
        &self,
        http: &Http,
        clinic_id: ClinicId,
        file: File,
    ) -> Result<String, Failure> {
        if file.bytes.is_empty() || file.bytes.len() > LARGEST_FILE {
            return Err(Failure::ours("bad_file", "the file is empty or has more than 100 MB"));
        }
        let boundary = format!("nadi-{}", MessageId::new());
        let body = multipart(&boundary, file)?;
        let mut request = self.signed(Request::json(self.url("media")?, &Value::Null))?;
        let kind = format!("multipart/form-data; boundary={boundary}");
        request.headers.insert(CONTENT_TYPE, secret_value(&kind)?);
        (request.body, request.is_file) = (body, true);
        let long_enough = std::time::Duration::MAX;
        let reply = http.call(clinic_id, super::Lane::Others, long_enough, request).await?;
        let answer = good_answer(&reply)?;
        let id = answer["id"].as_str().filter(|id| !id.is_empty());
        id.map(str::to_owned).ok_or_else(|| no_id(&reply))
    }

    fn url(&self, what: &str) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut path) => {
                path.pop_if_empty().extend([&self.version, &self.phone_number_id, what]);
            }
            Err(()) => return Err(Failure::ours("bad_base", "the base URL cannot have a path")),
        }
        Ok(url)
    }

    fn signed(&self, request: Request) -> Result<Request, Failure> {
        let bearer = SecretString::from(format!("Bearer {}", self.token.expose_secret()));
        request.secret_header(AUTHORIZATION, &bearer)
    }
}

fn accepted(reply: &Reply) -> Outcome {
    let answer = good_answer(reply)?;
    match answer["messages"][0]["id"].as_str() {
        Some(id) if !id.is_empty() => Ok(Accepted {
            provider_id: Some(id.to_owned()),
            http: Some(reply.status),
            recipient_id: answer["contacts"][0]["wa_id"].as_str().map(str::to_owned),
        }),
        _ => Err(no_id(reply)),
    }
}

/// The JSON of an answer that is no refusal.
fn good_answer(reply: &Reply) -> Result<Value, Failure> {
    let answer = reply.json();
    let error =
        answer.as_ref().ok().map(|answer| &answer["error"]).filter(|error| error.is_object());
    if let Some(error) = error {
        return Err(errors::judge(error, Some(reply.status)).retry_after(reply.retry_after));
    }
    if !(200..300).contains(&reply.status) {
        let failure = errors::judge(&Value::Null, Some(reply.status));
        return Err(failure.retry_after(reply.retry_after));
    }
    answer.map_err(|why| Failure::unreadable(reply.status, "unreadable", why))
}

fn no_id(reply: &Reply) -> Failure {
    Failure::unreadable(reply.status, "no_id", "the answer names no message")
}

fn multipart(boundary: &str, file: File) -> Result<Vec<u8>, Failure> {
    let plain = |text: &str| !text.chars().any(char::is_control) && !text.contains('"');
    if !plain(&file.filename) || !plain(&file.mime) || file.mime.is_empty() {
        return Err(Failure::ours("bad_file", "the file's name or type cannot be told"));
    }
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\n{mime}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: {mime}\r\n\r\n",
        mime = file.mime,
        name = file.filename,
    )
    .into_bytes();
    body.extend_from_slice(&file.bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Ok(body)
}
