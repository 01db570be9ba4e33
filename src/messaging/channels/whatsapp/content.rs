//! What can be said by WhatsApp, and how it looks on the wire. Whatever WhatsApp would refuse is refused here first.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::messaging::channels::Failure;

const LONGEST_PARAMETER: usize = 1024;
const LONGEST_TEXT: usize = 1024;
const LONGEST_FOOTER: usize = 60;
const LONGEST_PAYLOAD: usize = 256;
const LONGEST_TITLE: usize = 20;
const LONGEST_CODE: usize = 15;
const LONGEST_FILENAME: usize = 240;
const MOST_BUTTONS: usize = 3;
/// In a template; sent with their place as a digit.
const MOST_REPLIES: usize = 10;

/// A message's content.
pub enum Content {
    /// A one-time code, by an authentication template.
    Code { template: String, language: String, code: SecretString },
    /// A template with its parameters in order, and the payloads of its quick-reply buttons in order.
    Template {
        name: String,
        language: String,
        document: Option<Document>,
        parameters: Vec<String>,
        replies: Vec<String>,
    },
    /// Text with buttons, within a day of the person's last message.
    Buttons { text: String, footer: Option<String>, buttons: Vec<Button> },
    /// A file, within a day of the person's last message.
    Document { document: Document, caption: Option<String> },
}

pub struct Button {
    pub id: String,
    pub title: String,
}

/// A file that was handed over before.
pub struct Document {
    pub media_id: String,
    pub filename: String,
}

impl Content {
    /// The message as WhatsApp takes it.
    ///
    /// # Errors
    /// When it would be refused.
    pub(super) fn on_the_wire(&self, to: &str, message_id: &str) -> Result<Value, Failure> {
        let (kind, what) = match self {
            Content::Code { template, language, code } => {
                let code = code.expose_secret();
                let fits = !code.is_empty()
                    && code.len() <= LONGEST_CODE
                    && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
                if !fits {
                    return Err(Failure::ours(
                        "bad_code",
                        "the code is not one of 1 to 15 letters and digits",
                    ));
                }
                let code = json!([{ "type": "text", "text": code }]);
                let components = json!([
                    { "type": "body", "parameters": code },
                    { "type": "button", "sub_type": "url", "index": "0", "parameters": code },
                ]);
                ("template", self::template(template, language, components)?)
            }
            Content::Template { name, language, document, parameters, replies } => {
                ("template", template(name, language, components(document, parameters, replies)?)?)
            }
            Content::Buttons { text, footer, buttons } => {
                ("interactive", interactive(text, footer.as_deref(), buttons)?)
            }
            Content::Document { document, caption } => {
                let mut file = document.on_the_wire()?;
                if let Some(caption) = caption {
                    file["caption"] = bounded(caption, LONGEST_TEXT, "caption")?.into();
                }
                ("document", file)
            }
        };
        let mut message = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": to,
            "type": kind,
            "biz_opaque_callback_data": message_id,
        });
        message[kind] = what;
        Ok(message)
    }
}

fn template(name: &str, language: &str, components: Value) -> Result<Value, Failure> {
    if name.is_empty() || language.is_empty() {
        return Err(Failure::ours("no_template", "the template has no name or language"));
    }
    Ok(json!({ "name": name, "language": { "code": language }, "components": components }))
}

fn components(
    document: &Option<Document>,
    parameters: &[String],
    replies: &[String],
) -> Result<Value, Failure> {
    let mut components = Vec::new();
    if let Some(document) = document {
        let file = json!({ "type": "document", "document": document.on_the_wire()? });
        components.push(json!({ "type": "header", "parameters": [file] }));
    }
    if !parameters.is_empty() {
        let texts: Result<Vec<Value>, Failure> = parameters
            .iter()
            .map(|text| Ok(json!({ "type": "text", "text": parameter(text)? })))
            .collect();
        components.push(json!({ "type": "body", "parameters": texts? }));
    }
    if replies.len() > MOST_REPLIES {
        return Err(Failure::ours("too_many_buttons", "a template has ten buttons at most"));
    }
    for (place, payload) in replies.iter().enumerate() {
        let payload = bounded(payload, LONGEST_PAYLOAD, "button's payload")?;
        components.push(json!({
            "type": "button", "sub_type": "quick_reply", "index": place.to_string(),
            "parameters": [{ "type": "payload", "payload": payload }],
        }));
    }
    Ok(Value::Array(components))
}

fn interactive(text: &str, footer: Option<&str>, buttons: &[Button]) -> Result<Value, Failure> {
    if buttons.is_empty() || buttons.len() > MOST_BUTTONS {
        return Err(Failure::ours("too_many_buttons", "a message has one to three buttons"));
    }
    let mut shown = Vec::new();
    for button in buttons {
        let id = bounded(&button.id, LONGEST_PAYLOAD, "button's id")?;
        let title = bounded(&button.title, LONGEST_TITLE, "button's title")?;
        if buttons.iter().filter(|other| other.title == title || other.id == id).count() > 1 {
            return Err(Failure::ours("same_buttons", "two buttons are the same"));
        }
        shown.push(json!({ "type": "reply", "reply": { "id": id, "title": title } }));
    }
    let text = bounded(text, LONGEST_TEXT, "text")?;
    let mut message =
        json!({ "type": "button", "body": { "text": text }, "action": { "buttons": shown } });
    if let Some(footer) = footer {
        message["footer"] = json!({ "text": bounded(footer, LONGEST_FOOTER, "footer")? });
    }
    Ok(message)
}

impl Document {
    fn on_the_wire(&self) -> Result<Value, Failure> {
        let id = bounded(&self.media_id, LONGEST_PAYLOAD, "file's id")?;
        let filename = bounded(&self.filename, LONGEST_FILENAME, "file's name")?;
        Ok(json!({ "id": id, "filename": filename }))
    }
}

/// A parameter as a template takes it: newlines, tabs and runs of spaces become one space.
fn parameter(text: &str) -> Result<String, Failure> {
    let collapsed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    bounded(&collapsed, LONGEST_PARAMETER, "parameter").map(str::to_owned)
}

fn bounded<'a>(text: &'a str, most: usize, what: &str) -> Result<&'a str, Failure> {
    match text.chars().count() {
        0 => Err(Failure::ours("empty", &format!("a {what} is empty"))),
        count if count > most => {
            Err(Failure::ours("too_long", &format!("a {what} has more than {most} characters")))
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(code: &str) -> Result<Value, Failure> {
        let content =
            Content::Code { template: "otp".into(), language: "hi".into(), code: code.into() };
        content.on_the_wire("919876543210", "m")
    }

    #[test]
    fn a_code_is_in_the_body_and_behind_the_button() {
        let sent = code("048291").unwrap();

        assert_eq!(sent["template"]["language"]["code"], "hi");
        for (place, kind) in [(0, "body"), (1, "button")] {
            let component = &sent["template"]["components"][place];
            assert_eq!(component["type"], kind);
            assert_eq!(component["parameters"][0]["text"], "048291");
        }
        for wrong in ["", "1234567890123456", "12 34", "१२३४"] {
            assert_eq!(code(wrong).unwrap_err().code.as_deref(), Some("bad_code"), "{wrong}");
        }
    }

    #[test]
    fn parameters_lose_their_line_breaks() {
        for (text, sent) in [
            ("Dr.  Anand\nVarma", "Dr. Anand Varma"),
            ("\t a    b \u{a0} c\r\n", "a b c"),
            ("  शांति  क्लिनिक ", "शांति क्लिनिक"),
        ] {
            assert_eq!(parameter(text).unwrap(), sent);
        }
        assert_eq!(parameter(" \n ").unwrap_err().code.as_deref(), Some("empty"));
        assert_eq!(parameter(&"क".repeat(1024)).unwrap().chars().count(), 1024);
        assert_eq!(parameter(&"क".repeat(1025)).unwrap_err().code.as_deref(), Some("too_long"));
    }

    #[test]
    fn buttons_are_few_short_and_different() {
        let button = |id: &str, title: &str| Button { id: id.into(), title: title.into() };
        let ask = |buttons: Vec<Button>| {
            let content = Content::Buttons { text: "Coming?".into(), footer: None, buttons };
            content.on_the_wire("919876543210", "m").map_err(|failure| failure.code.unwrap())
        };

        assert!(ask(vec![button("a", "Yes"), button("b", "No"), button("c", "Later")]).is_ok());
        assert_eq!(ask(vec![]).unwrap_err(), "too_many_buttons");
        let four = (0..4).map(|n| button(&n.to_string(), &n.to_string())).collect();
        assert_eq!(ask(four).unwrap_err(), "too_many_buttons");
        assert_eq!(ask(vec![button("a", "Yes"), button("b", "Yes")]).unwrap_err(), "same_buttons");
        assert_eq!(ask(vec![button("a", &"x".repeat(21))]).unwrap_err(), "too_long");
        assert_eq!(ask(vec![button(&"x".repeat(257), "Yes")]).unwrap_err(), "too_long");
    }
}
