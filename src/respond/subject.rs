//! What a message asked about, as it is now: a visit, or a time that is kept for somebody on the waitlist.

use chrono::{DateTime, Utc};
use poem::http::StatusCode;
use uuid::Uuid;

use super::{About, Action, Token};
use crate::appointments::reply::{self, Asked, Replied, Reply, judge};
use crate::audit::Seen;
use crate::db::Tx;
use crate::error::Problem;
use crate::ids::PatientId;
use crate::tenancy::pools::Conn;
use crate::waitlist::reply::{self as offers, Answer, Answered, OfferStatus, Offered};

#[derive(Clone, Debug)]
pub enum Subject {
    Visit(Asked),
    Offer(Offered),
}

/// What came of an answer.
#[derive(Debug)]
pub enum Outcome {
    Done,
    /// It was so before: a second press changes nothing.
    AlreadySo,
    /// It could not be done any more: what its sender is told.
    InVain(Problem),
    /// Others have it by now: to be tried again.
    Again,
}

impl Subject {
    /// None: it is gone.
    pub async fn read(conn: &mut Conn, about: About) -> sqlx::Result<Option<Self>> {
        Ok(match about {
            About::Visit(id) => reply::asked(conn, id).await?.map(Subject::Visit),
            About::Offer(id) => offers::asked(conn, id).await?.map(Subject::Offer),
        })
    }

    pub fn id(&self) -> Uuid {
        match self {
            Subject::Visit(asked) => asked.visit.id.0,
            Subject::Offer(offer) => offer.id.0,
        }
    }

    pub fn patient(&self) -> PatientId {
        match self {
            Subject::Visit(asked) => asked.visit.patient_id,
            Subject::Offer(offer) => offer.patient_id,
        }
    }

    pub fn starts_at(&self) -> DateTime<Utc> {
        match self {
            Subject::Visit(asked) => asked.visit.starts_at,
            Subject::Offer(offer) => offer.starts_at,
        }
    }

    /// With whom, where, and by which clock there.
    pub fn place(&self) -> (&str, &str, &str) {
        match self {
            Subject::Visit(asked) => {
                (&asked.visit.doctor_name, &asked.location_name, &asked.time_zone)
            }
            Subject::Offer(offer) => (&offer.doctor_name, &offer.location_name, &offer.time_zone),
        }
    }

    /// Whom an answer takes: locked before it is given.
    pub fn locks(&self) -> Vec<Uuid> {
        match self {
            Subject::Visit(asked) => asked.visit.subjects(),
            Subject::Offer(offer) => vec![offer.doctor_id.0, offer.patient_id.0],
        }
    }

    /// What was shown of it.
    pub fn seen(&self) -> Seen {
        let seen = match self {
            Subject::Visit(asked) => Seen::one("appointment", asked.visit.id),
            Subject::Offer(offer) => Seen::one("waitlist", offer.waitlist_id),
        };
        seen.about(self.patient())
    }

    /// What may be answered now.
    pub fn actions(&self, now: DateTime<Utc>) -> Vec<Action> {
        match self {
            Subject::Visit(asked) => {
                let at = asked.visit.starts_at;
                let open = |reply| judge(&asked.visit, at, reply, now) == Replied::Done;
                let all = [(Action::Confirm, Reply::Confirm), (Action::Cancel, Reply::Cancel)];
                all.into_iter()
                    .filter(|(_, reply)| open(*reply))
                    .map(|(action, _)| action)
                    .collect()
            }
            Subject::Offer(offer) if offer.is_open(now) => vec![Action::Accept, Action::Decline],
            Subject::Offer(_) => Vec::new(),
        }
    }

    /// A link that is not about the visit's time any more shows nothing of it; one whose time has come is over, and so is an offer
    /// that was let pass.
    pub fn is_current(&self, token: &Token, now: DateTime<Utc>) -> Result<(), Problem> {
        match self {
            Subject::Visit(asked) => {
                let moved =
                    judge(&asked.visit, token.starts_at, Reply::Confirm, now) == Replied::Moved;
                match moved {
                    true => Err(outdated()),
                    false if asked.visit.starts_at <= now => Err(expired()),
                    false => Ok(()),
                }
            }
            Subject::Offer(offer) => match offer.status {
                OfferStatus::Accepted if !offer.stands => Err(outdated()),
                _ if offer.starts_at <= now => Err(expired()),
                OfferStatus::Accepted | OfferStatus::Declined => Ok(()),
                _ if offer.is_open(now) => Ok(()),
                _ => Err(not_kept()),
            },
        }
    }

    /// Answers. The transaction is one opened for telling, with [`Subject::locks`]; what is not `Again` is to be committed.
    ///
    /// # Errors
    /// The database's.
    pub async fn answer(
        &self,
        tx: &mut Tx,
        token: &Token,
        action: Action,
    ) -> sqlx::Result<Outcome> {
        match self {
            Subject::Visit(asked) => {
                let Some(reply) = action.reply() else { return Ok(Outcome::InVain(no_answer())) };
                let replied = reply::reply(tx, &asked.visit, token.starts_at, reply).await?;
                Ok(match replied.map(|(replied, _)| replied) {
                    None => Outcome::Again,
                    Some(Replied::Done) => Outcome::Done,
                    Some(Replied::AlreadySo) => Outcome::AlreadySo,
                    Some(Replied::Moved) => Outcome::InVain(outdated()),
                    Some(Replied::Begun) => Outcome::InVain(expired()),
                    Some(Replied::Stands(status)) => {
                        let to = match reply {
                            Reply::Confirm => "confirmed",
                            Reply::Cancel => "cancelled",
                        };
                        let detail =
                            format!("a visit that is {} cannot become {to}", status.as_str());
                        let problem = Problem::conflict("illegal-transition", detail);
                        Outcome::InVain(problem.with("from", status.as_str()).with("to", to))
                    }
                })
            }
            Subject::Offer(offer) => {
                let Some(answer) = action.answer() else { return Ok(Outcome::InVain(no_answer())) };
                Ok(match offers::answer(tx, offer.id, answer).await? {
                    Answered::Booked(_) | Answered::Declined => Outcome::Done,
                    Answered::AlreadySo => Outcome::AlreadySo,
                    Answered::Over => Outcome::InVain(not_kept()),
                    Answered::Refused => {
                        let words = "you have another visit then: move that one first";
                        Outcome::InVain(Problem::conflict("slot-taken", words))
                    }
                })
            }
        }
    }
}

impl Action {
    fn reply(self) -> Option<Reply> {
        match self {
            Action::Confirm => Some(Reply::Confirm),
            Action::Cancel => Some(Reply::Cancel),
            Action::Accept | Action::Decline => None,
        }
    }

    fn answer(self) -> Option<Answer> {
        match self {
            Action::Accept => Some(Answer::Accept),
            Action::Decline => Some(Answer::Decline),
            Action::Confirm | Action::Cancel => None,
        }
    }
}

fn outdated() -> Problem {
    Problem::new(
        StatusCode::GONE,
        "link-outdated",
        "this visit has another time by now: use the link of the newest message",
    )
}

fn expired() -> Problem {
    let words = "the time of this visit has come; please call the clinic";
    Problem::new(StatusCode::GONE, "link-expired", words)
}

fn not_kept() -> Problem {
    let words = "this time is not kept any more; you keep your place in the line";
    Problem::new(StatusCode::GONE, "offer-over", words)
}

fn no_answer() -> Problem {
    Problem::conflict("illegal-transition", "this is no answer to what was asked")
}
