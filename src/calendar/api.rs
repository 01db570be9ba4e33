//! `/appointments/calendar`

use poem_openapi::OpenApi;
use uuid::Uuid;

use super::store::{self, Narrow};
use super::view::{CalendarView, Frame, ShowCalendar};
use crate::audit::Seen;
use crate::auth::may::ReadAppointments;
use crate::auth::{May, Role};
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::input::Query;
use crate::http::payload::Payload;
use crate::time;

/// Days, weeks and months of the appointment book.
pub struct CalendarApi;

#[OpenApi]
impl CalendarApi {
    /// A day, a week or a month of appointments
    ///
    /// Who sees which visits is as with `GET /appointments`. A week begins on Monday.
    #[oai(path = "/appointments/calendar", method = "get", operation_id = "showCalendar")]
    async fn show(
        &self,
        who: May<ReadAppointments>,
        clinic: Here,
        query: Query<ShowCalendar>,
    ) -> Result<Payload<CalendarView>, Problem> {
        let query = query.read()?;
        let patient = who.only_patient()?;
        let mut conn = clinic.read().await?;
        let zone = match query.location_id {
            Some(location) => {
                let name = store::location_zone(&mut conn, location).await?;
                let name = name.ok_or_else(|| {
                    let words = "no such location";
                    let error = FieldError::outside("query", "location_id", "not_found", words);
                    Problem::invalid(vec![error])
                })?;
                time::zone(&name)
                    .ok_or_else(|| Problem::internal(format!("there is no time zone {name}")))?
            }
            None => clinic.zone,
        };
        let today = time::date_in(zone, clinic.clock.now());
        let frame = Frame::new(query.view, query.date.unwrap_or(today), zone);
        let narrow = Narrow {
            subject: (who.role == Role::Therapist).then_some(who.account.0),
            doctor: query.doctor_id,
            patient,
            location: query.location_id,
        };
        let most = frame.view.most_items();
        let rows = store::days(&mut conn, &frame, &narrow, most).await?;
        drop(conn);
        let calendar = frame.filled(rows, today);
        let shown = calendar.days.iter().flat_map(|day| &day.items);
        let mut seen = Seen::list("appointment", shown, |visit| visit.id.0);
        seen.about_id = patient.map(Uuid::from);
        who.saw(seen).await?;
        Ok(Payload(calendar))
    }
}
