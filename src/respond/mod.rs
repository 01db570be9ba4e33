//! Answers to messages, without signing in: whether one comes, and whether one takes a time that is offered; from a link or a
//! WhatsApp button. Opening a link only shows, for scanners follow links; a button there acts.

pub mod api;
pub mod pages;
mod press;
mod subject;
mod token;
mod words;

use serde::{Deserialize, Serialize};

use self::subject::{Outcome, Subject};
use crate::actor::Actor;
use crate::audit::Trail;
use crate::db::Tries;
use crate::error::Problem;
use crate::http::context::Context;
use crate::tenancy::Clinic;

pub use press::{Found, Press, Pressed};
pub use token::{About, Token};

/// What one may answer: to a visit that one comes or does not, to an offer that one takes it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, poem_openapi::Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case", rename = "Reply")]
pub enum Action {
    Confirm,
    Cancel,
    Accept,
    Decline,
}

impl Action {
    const ALL: [Action; 4] = [Action::Confirm, Action::Cancel, Action::Accept, Action::Decline];

    pub fn as_str(self) -> &'static str {
        match self {
            Action::Confirm => "confirm",
            Action::Cancel => "cancel",
            Action::Accept => "accept",
            Action::Decline => "decline",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
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
async fn look(clinic: &Clinic, text: &str) -> Result<(Token, Subject), Problem> {
    let token = Token::read(&clinic.keys, text).ok_or_else(Problem::not_found)?;
    let subject = Subject::read(&mut clinic.read().await?, token.about).await?;
    Ok((token, subject.ok_or_else(Problem::not_found)?))
}

/// Acts, in a transaction of its own, and shows what became of it.
async fn act(
    clinic: &Clinic,
    actor: Actor,
    text: &str,
    action: Action,
) -> Result<Subject, Problem> {
    let mut tries = Tries::default();
    for _ in 0..3 {
        let (token, subject) = look(clinic, text).await?;
        let mut tx = clinic.begin_telling(actor.clone(), &subject.locks()).await?;
        let outcome = match subject.answer(&mut tx, &token, action).await {
            Err(error) if tries.again(&error) => continue,
            other => other?,
        };
        if matches!(outcome, Outcome::Again) {
            continue;
        }
        tx.commit().await?;
        match outcome {
            Outcome::InVain(problem) => return Err(problem),
            _ => return Ok(look(clinic, text).await?.1),
        }
    }
    Err(Problem::conflict("conflict", "the clinic is changing this visit just now; try again"))
}

/// What was shown, and through which link: nobody has signed in.
async fn note(context: &Context, subject: &Subject) -> Result<(), Problem> {
    let trail = Trail { realm: context.realm.clone(), reads: context.reads.clone() };
    trail.note(patient(context), subject.seen()).await
}
