//! Answers to messages, without signing in: Confirm and Cancel, from a link or a WhatsApp button. Opening a link only shows, for
//! scanners follow links; a button there acts.

pub mod api;
pub mod pages;
mod press;
mod token;

use poem::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::appointments::reply::{self, Asked, Replied, Reply};
use crate::error::Problem;
use crate::http::context::Context;
use crate::tenancy::Clinic;

pub use press::{Press, Pressed};
pub use token::Token;

/// What one may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, poem_openapi::Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case", rename = "Reply")]
pub enum Action {
    Confirm,
    Cancel,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Confirm => "confirm",
            Action::Cancel => "cancel",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Action::Confirm, Action::Cancel].into_iter().find(|action| action.as_str() == name)
    }

    fn reply(self) -> Reply {
        match self {
            Action::Confirm => Reply::Confirm,
            Action::Cancel => Reply::Cancel,
        }
    }
}

/// The address that a message carries.
pub fn url(clinic: &Clinic, token: Token) -> String {
    format!("{}/respond/{}", clinic.url, token.write(&clinic.keys))
}

/// Whoever followed a link: it was sent to the patient, and nobody else is asked who he is.
fn patient(context: &Context) -> Actor {
    Actor {
        role: Some("patient"),
        address: context.address,
        request_id: Some(context.request_id.clone()),
        ..Actor::default()
    }
}

/// Looks what a link is about.
async fn look(clinic: &Clinic, text: &str) -> Result<(Token, Asked), Problem> {
    let token = Token::read(&clinic.keys, text).ok_or_else(Problem::not_found)?;
    let asked = reply::asked(&mut clinic.read().await?, token.visit).await?;
    Ok((token, asked.ok_or_else(Problem::not_found)?))
}

/// Acts, in a transaction of its own.
async fn act(
    clinic: &Clinic,
    actor: Actor,
    text: &str,
    action: Action,
) -> Result<(Replied, Asked), Problem> {
    for _ in 0..3 {
        let (token, asked) = look(clinic, text).await?;
        let mut tx = clinic.begin_telling(actor.clone(), &asked.visit.subjects()).await?;
        let replied = reply::reply(&mut tx, &asked.visit, token.starts_at, action.reply()).await?;
        let Some((replied, visit)) = replied else { continue };
        tx.commit().await?;
        return Ok((replied, Asked { visit, ..asked }));
    }
    Err(Problem::conflict("conflict", "the clinic is changing this visit just now; try again"))
}

/// What is told to one whose answer could not be acted on.
fn refusal(replied: Replied, action: Action) -> Option<Problem> {
    match replied {
        Replied::Done | Replied::AlreadySo => None,
        Replied::Moved => Some(Problem::new(
            StatusCode::GONE,
            "link-outdated",
            "this visit has another time by now: use the link of the newest message",
        )),
        Replied::Begun => Some(Problem::new(
            StatusCode::GONE,
            "link-expired",
            "the time of this visit has come; please call the clinic",
        )),
        Replied::Stands(status) => {
            let to = match action {
                Action::Confirm => "confirmed",
                Action::Cancel => "cancelled",
            };
            let detail = format!("a visit that is {} cannot become {to}", status.as_str());
            Some(
                Problem::conflict("illegal-transition", detail)
                    .with("from", status.as_str())
                    .with("to", to),
            )
        }
    }
}
