//! `/live`

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::cursor::Cursor;
use super::door::Visitor;
use super::hub::Live;
use super::stream::Stream;
use super::ticket;
use crate::audit::Seen;
use crate::auth::May;
use crate::auth::may::ReadAppointments;
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::fields::{self, Fields, Readable};
use crate::http::input::{NoBody, Query};
use crate::http::payload::Payload;

/// What happens, as it happens.
pub struct LiveApi;

/// How to listen.
#[derive(Object)]
pub struct Listen {
    /// From `POST /live/tickets`, in place of `Authorization`: for a browser's `EventSource`, which sends no headers.
    ticket: Option<String>,
    /// As the header `Last-Event-ID`, which comes first: for an `EventSource` that is made anew.
    last_event_id: Option<String>,
}

impl Readable for Listen {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            ticket: fields.optional("ticket", fields::line(1, 200)),
            last_event_id: fields.optional("last_event_id", fields::line(1, 60)),
        })
    }
}

/// Lets one stream begin.
#[derive(Serialize, Object)]
pub struct Ticket {
    pub ticket: String,
    /// Seconds that it lets in.
    pub expires_in: i64,
}

/// The header by which a browser says where it had come to.
struct LastEventId(Option<String>);

impl<'a> poem::FromRequest<'a> for LastEventId {
    async fn from_request(
        request: &'a poem::Request,
        _: &mut poem::RequestBody,
    ) -> poem::Result<Self> {
        Ok(Self(request.header("last-event-id").map(str::to_owned)))
    }
}

#[OpenApi]
impl LiveApi {
    /// Hear of changes as they happen
    ///
    /// Server-sent events, of whatever the caller may see in `GET /appointments`. `event` is what it is about (`appointment`,
    /// `queue`, …), `data` is `{kind, at, appointment_id, doctor_id, patient_id, location_id, …}`: ids, to load anew what
    /// they name. Open the stream first, then load what is shown: so nothing falls between.
    ///
    /// After a break send the last `id` as `Last-Event-ID`: what was missed is told first. `event: reset` says that it is too
    /// much or too long ago (a day): load everything anew. `event: end` is the last word, with a `reason`: `session` (sign
    /// in), `clinic` (it is closed), `restart`, `renew`, `behind`, `broken` (come again). No stream lasts much over an hour.
    #[oai(path = "/live", method = "get", operation_id = "listen")]
    async fn listen(
        &self,
        who: Visitor,
        clinic: Here,
        caller: Anybody,
        live: Data<&Arc<Live>>,
        last: LastEventId,
        query: Query<Listen>,
    ) -> Result<Stream, Problem> {
        let Visitor(who) = who;
        let query = query.read()?;
        let from = last.0.filter(|id| !id.is_empty()).or(query.last_event_id);
        let from = from.map(|id| id.parse::<Cursor>()).transpose().map_err(|_| {
            Problem::bad_request(
                "`Last-Event-ID` is not the id of an event: leave it out to begin anew",
            )
        })?;
        let stream = live.listen(&clinic, &caller.sessions, &who, from).await?;
        // Ids alone go out, but whose visits change and when is personal: that somebody listened is on record.
        let seen = Seen::one("live", who.session.0);
        who.saw(match who.patient.filter(|_| who.is_patient()) {
            Some(patient) => seen.about(patient),
            None => seen,
        })
        .await?;
        Ok(stream)
    }

    /// A ticket to listen with
    ///
    /// For a browser's `EventSource`: `GET /live?ticket=…`. It lets in for half a minute, and the stream goes on after that.
    #[oai(path = "/live/tickets", method = "post", operation_id = "makeLiveTicket")]
    async fn ticket(
        &self,
        who: May<ReadAppointments>,
        clinic: Here,
        nothing: NoBody,
    ) -> Result<Payload<Ticket>, Problem> {
        nothing.read()?;
        let ticket = ticket::issue(&clinic, who.account, who.session);
        Ok(Payload(Ticket { ticket, expires_in: ticket::LIFETIME_SECONDS }))
    }
}
