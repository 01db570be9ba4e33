//! `/calendar`: feeds for other calendars.

use chrono::{Days, NaiveDate};
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;

use super::document::{Calendar, Reader};
use super::feed_token::{self, Given};
use super::rotate::rotate;
use super::store::{self, Feed};
use crate::audit::{Actor, Seen, Trail};
use crate::auth::may::OwnCalendar;
use crate::auth::{May, Role};
use crate::crypto;
use crate::doctors::hours::Span;
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::fields::{self, Fields, Readable};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::Query;
use crate::http::path::Path;
use crate::http::payload::Payload;
use crate::ids::AccountId;
use crate::tenancy::Clinic;
use crate::time;

/// Feeds that Google, Apple and Outlook subscribe to.
pub struct FeedsApi;

/// What a feed shows: so many civil days of the clinic's before today, and from today on.
const DAYS_PAST: u64 = 90;
const DAYS_TO_COME: u64 = 400;

/// A feed's address.
#[derive(Serialize, Object)]
pub struct FeedView {
    /// Whoever has it sees the visits: no sign-in is asked for.
    url: String,
    /// Whether it names patients. If not, it has their numbers.
    patient_names: bool,
}

#[derive(Object)]
pub struct RotateFeed {
    /// Whether a staff's feed is to name patients, and say where home visits go: it will lie in somebody else's computers. No
    /// unless given.
    patient_names: Option<bool>,
}

impl Readable for RotateFeed {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { patient_names: fields.optional("patient_names", fields::boolean) })
    }
}

fn view(clinic: &Clinic, account: AccountId, generation: i32, patient_names: bool) -> FeedView {
    let token = feed_token::issue(&clinic.keys.feeds, account, generation);
    FeedView { url: format!("{}/api/v1/calendar/{token}.ics", clinic.url), patient_names }
}

/// What the caller has already: `If-None-Match`.
pub struct Known(Vec<String>);

impl Known {
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::IF_NONE_MATCH).iter();
        let tags = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        Self(tags.map(|tag| tag.trim().trim_start_matches("W/").to_owned()).collect())
    }

    fn has(&self, etag: &str) -> bool {
        self.0.iter().any(|tag| tag == "*" || tag == etag)
    }
}

impl<'a> poem::FromRequest<'a> for Known {
    async fn from_request(
        request: &'a poem::Request,
        _: &mut poem::RequestBody,
    ) -> poem::Result<Self> {
        Ok(Self::of(request.headers()))
    }
}

/// `200` with the feed, or `304` to whom has it.
pub struct Ics {
    etag: String,
    document: Option<String>,
}

const ICS: &str = "text/calendar; charset=utf-8";

impl IntoResponse for Ics {
    fn into_response(self) -> Response {
        let mut response = match self.document {
            Some(document) => Response::builder().content_type(ICS).body(document),
            None => Response::builder().status(StatusCode::NOT_MODIFIED).finish(),
        };
        let headers = response.headers_mut();
        let etag = HeaderValue::from_str(&self.etag).expect("hexadecimal digits");
        headers.insert(header::ETAG, etag);
        // Asked each time, so that an address that was given up shows nothing more.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        let name = HeaderValue::from_static("inline; filename=\"calendar.ics\"");
        headers.insert(header::CONTENT_DISPOSITION, name);
        // The address is the key: no page that it is opened from or leads to learns it.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

impl ApiResponse for Ics {
    fn meta() -> MetaResponses {
        let schema = MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
        let response = |status, description, content| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content,
            headers: vec![],
        };
        MetaResponses {
            responses: vec![
                response(200, "The feed", vec![MetaMediaType { content_type: ICS, schema }]),
                response(304, "Nothing has changed since", vec![]),
            ],
        }
    }

    fn register(_: &mut Registry) {}
}

#[OpenApi]
impl FeedsApi {
    /// The address of my calendar feed
    ///
    /// For a calendar to subscribe to (RFC 5545). Doctors and therapists have their visits in it, patients their own.
    #[oai(path = "/calendar/feed", method = "get", operation_id = "getCalendarFeed")]
    async fn mine(
        &self,
        who: May<OwnCalendar>,
        clinic: Here,
    ) -> Result<Payload<FeedView>, Problem> {
        let mut conn = clinic.read().await?;
        let feed = store::feed(&mut conn, who.account).await?.ok_or_else(Problem::forbidden)?;
        drop(conn);
        Ok(Payload(view(&clinic, who.account, feed.generation, feed.patient_names)))
    }

    /// Give my calendar feed another address
    ///
    /// The one before leads nowhere from now on.
    #[oai(path = "/calendar/feed/rotate", method = "post", operation_id = "rotateCalendarFeed")]
    async fn rotate(
        &self,
        who: May<OwnCalendar>,
        clinic: Here,
        key: Idempotency,
        query: Query<RotateFeed>,
    ) -> Result<Replayable<Payload<FeedView>>, Problem> {
        let patient_names = query.read()?.patient_names.unwrap_or(false);
        if patient_names && who.is_patient() {
            return Err(Problem::forbidden()); // there is nobody to be named but oneself
        }
        key.no_body()?;
        // What the new address is to show is part of what is asked for.
        let asked = crypto::sha256(format!("patient_names={patient_names}").as_bytes());
        let mut tx = clinic.begin(who.actor()).await?;
        let kept = match key.begin(&mut tx, who.account, asked).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let generation = rotate(&mut tx, who.account, patient_names).await?;
        let answer = view(&clinic, who.account, generation, patient_names);
        Replayable::commit(tx, kept, Payload(answer)).await
    }

    /// A calendar feed
    ///
    /// Without sign-in: the address is the key. Visits of the last 90 and the next 400 days; 4,000 at most, those nearest to
    /// now. Cancelled ones stay in it as cancelled. A doctor's feed has patients' numbers and never a reason.
    #[oai(path = "/calendar/:feed_token", method = "get", operation_id = "readCalendarFeed")]
    async fn read(
        &self,
        caller: Anybody,
        clinic: Here,
        /// With `.ics` after it.
        feed_token: Path<String>,
        known: Known,
    ) -> Result<Ics, Problem> {
        let given = Given::read(&feed_token.0).ok_or_else(Problem::not_found)?;
        let mut conn = clinic.read().await?;
        let feed = store::feed(&mut conn, given.account).await?;
        let feed = feed.filter(|feed| given.is_good(&clinic.keys.feeds, feed.generation));
        let feed = feed.ok_or_else(Problem::not_found)?;
        let now = clinic.clock.now();
        let within = window(&clinic, time::date_in(clinic.zone, now));
        let entries = store::entries(&mut conn, given.account, &feed, within, now).await?;
        drop(conn);
        let calendar = Calendar {
            clinic_name: &clinic.name,
            clinic_zone: clinic.zone,
            url: &clinic.url,
            owner_name: &feed.full_name,
            reader: feed.reader(),
            within,
        };
        let document = calendar.write(&entries);
        let digest = crypto::sha256(document.as_bytes());
        let digest: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = format!("\"{digest}\"");
        if known.has(&etag) {
            return Ok(Ics { etag, document: None }); // nothing is shown that was not shown before
        }
        let mut seen = Seen::list("calendar_feed", &entries, |entry| entry.id.0);
        seen.about_id = feed.patient.map(Into::into);
        let actor = Actor {
            account: Some(given.account),
            role: Some(feed.role.as_str()),
            ..caller.actor()
        };
        let trail = Trail { realm: caller.realm.clone(), reads: caller.reads.clone() };
        trail.note(actor, seen).await?;
        Ok(Ics { etag, document: Some(document) })
    }
}

/// Whole days, so that a feed stays the same for as long as its visits do.
fn window(clinic: &Clinic, today: NaiveDate) -> Span {
    let from = today.checked_sub_days(Days::new(DAYS_PAST)).unwrap_or(today);
    let to = today.checked_add_days(Days::new(DAYS_TO_COME)).unwrap_or(today);
    Span::new(time::day_start(clinic.zone, from), time::day_start(clinic.zone, to))
}

impl Feed {
    fn reader(&self) -> Reader {
        match self.role {
            Role::Patient => Reader::Patient,
            _ => Reader::Staff { patient_names: self.patient_names },
        }
    }
}
