//! `/imports`

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::body::Csv;
use super::names::Names;
use super::sheet::{Fault, Sheet, refused};
use super::{appointments, availability};
use crate::appointments::Word;
use crate::audit::{self, Act};
use crate::auth::May;
use crate::auth::may::Import;
use crate::crypto;
use crate::db::Tries;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::fields::{self, Fields, Readable};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::Query;
use crate::http::payload::Payload;
use crate::time;

/// Files of many rows.
pub struct ImportsApi;

#[derive(Object)]
pub struct ImportHours {
    /// Say what is wrong, and change nothing. No unless given.
    dry_run: Option<bool>,
}

impl Readable for ImportHours {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { dry_run: fields.optional("dry_run", fields::boolean) })
    }
}

#[derive(Object)]
pub struct ImportAppointments {
    /// Say what is wrong, and change nothing. No unless given.
    dry_run: Option<bool>,
    /// Tell patients of visits to come, as if they had just been booked. No unless given.
    notify: Option<bool>,
}

impl Readable for ImportAppointments {
    fn read(fields: &mut Fields) -> Option<Self> {
        let dry_run = fields.optional("dry_run", fields::boolean);
        Some(Self { dry_run, notify: fields.optional("notify", fields::boolean) })
    }
}

/// Something that is wrong with a file.
#[derive(Serialize, Object)]
#[oai(rename = "ImportFault")]
struct FaultView {
    /// As a spreadsheet counts them: the names of the columns are row 1.
    row: usize,
    /// Empty: the row as a whole.
    column: String,
    code: String,
    message: String,
}

/// What became of a file, or would.
#[derive(Serialize, Object)]
struct ImportView {
    dry_run: bool,
    /// Those that are not empty.
    rows: usize,
    /// Doctors whose hours were replaced.
    doctors: usize,
    /// Lines of weekly hours.
    lines: usize,
    /// Visits to come.
    booked: usize,
    /// Visits that have been.
    recorded: usize,
    /// All that is wrong. A file with faults is imported in no part.
    faults: Vec<FaultView>,
}

impl ImportView {
    fn of(dry_run: bool, rows: usize, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.row);
        let view = |fault: Fault| FaultView {
            row: fault.row,
            column: fault.column,
            code: fault.code.to_owned(),
            message: fault.message,
        };
        let faults = faults.into_iter().map(view).collect();
        Self { dry_run, rows, doctors: 0, lines: 0, booked: 0, recorded: 0, faults }
    }
}

/// What a key is bound to: what is to be done with a file is part of what is asked for.
fn asked(bytes: &[u8], what: &str) -> [u8; 32] {
    crypto::sha256(&[what.as_bytes(), &[0], bytes].concat())
}

#[OpenApi]
impl ImportsApi {
    /// Import weekly hours
    ///
    /// CSV, 2,000 rows at most: `doctor` (e-mail or id), `weekday` (1 is Monday, or its English name), `starts_at`, `ends_at`
    /// (`HH:MM` at the location), `location` (name or id; not needed where there is one), `breaks` (`13:00-14:00; 16:00-16:15`),
    /// `valid_from`, `valid_to` (exclusive). The file has all the hours of each doctor that it names: what stood ends. All of it
    /// is imported or nothing; what is wrong is at `/<row>/<column>`.
    #[oai(path = "/imports/availability", method = "post", operation_id = "importAvailability")]
    async fn availability(
        &self,
        who: May<Import>,
        clinic: Here,
        key: Idempotency,
        query: Query<ImportHours>,
        file: Csv,
    ) -> Result<Replayable<Payload<ImportView>>, Problem> {
        let frame = file.frame.clone();
        let bytes = file.take()?;
        let dry_run = query.read()?.dry_run.unwrap_or(false);
        let (columns, needed) = (&availability::COLUMNS, availability::NEEDED);
        let sheet = Sheet::read(&bytes, columns, needed, availability::MOST_ROWS)?;
        let mut conn = clinic.read().await?;
        let names = Names::read(&mut conn, &sheet.rows, &clinic.country).await?;
        drop(conn);
        let mut faults = sheet.faults;
        let hours = availability::read(&sheet.rows, &names, &frame, &mut faults);
        let doctors: Vec<Uuid> = hours.keys().map(|doctor| doctor.0).collect();
        let mut tx = clinic.begin_locking(who.actor(), &doctors).await?;
        let mut kept = None;
        if !dry_run {
            kept = match key.begin(&mut tx, who.account, asked(&bytes, "availability")).await? {
                Found::Done(response) => return Ok(Replayable::Replayed(response)),
                Found::New(kept) => kept,
            };
        }
        let today = time::date_in(clinic.zone, clinic.clock.now());
        availability::check(&mut tx, &hours, &names, today, &frame, &mut faults).await?;
        let mut lines = 0;
        if faults.is_empty() {
            lines = availability::replace(&mut tx, &hours, &mut faults).await?; // else the constraint would say it again
        }
        if !dry_run && !faults.is_empty() {
            return Err(refused(faults));
        }
        let view = ImportView {
            doctors: doctors.len(),
            lines,
            ..ImportView::of(dry_run, sheet.rows.len(), faults)
        };
        if dry_run {
            tx.rollback().await?;
            return Ok(Replayable::now(poem::IntoResponse::into_response(Payload(view))));
        }
        let act = Act::unknown("availability.imported", "import");
        let counts = json!({ "rows": view.rows, "doctors": view.doctors, "lines": view.lines });
        audit::record(&mut tx, act.details(counts)).await?;
        Replayable::commit(tx, kept, Payload(view)).await
    }

    /// Import appointments
    ///
    /// CSV, 500 rows at most: `patient` (number, phone or id), `doctor` (e-mail or id), `date` (`YYYY-MM-DD`), `time` (`HH:MM`
    /// at the location; what comes twice is the earlier), `location` (name or id; not needed where there is one),
    /// `duration_minutes`, `kind` (`in_person` unless given), `reason`, `address`, `status`. Visits to come (`booked` or
    /// `confirmed`) go by the rules of booking; visits that have been (`completed` unless given, `cancelled`, `no_show`) are
    /// recorded as they were. Patients are told nothing unless `notify`; reminders go out as for any visit. All of it is
    /// imported or nothing; what is wrong is at `/<row>/<column>`.
    #[oai(path = "/imports/appointments", method = "post", operation_id = "importAppointments")]
    async fn appointments(
        &self,
        who: May<Import>,
        clinic: Here,
        key: Idempotency,
        query: Query<ImportAppointments>,
        file: Csv,
    ) -> Result<Replayable<Payload<ImportView>>, Problem> {
        let frame = file.frame.clone();
        let bytes = file.take()?;
        let ImportAppointments { dry_run, notify } = query.read()?;
        let (dry_run, notify) = (dry_run.unwrap_or(false), notify.unwrap_or(false));
        let word = if notify { Word::Given } else { Word::Withheld };
        let what = asked(&bytes, if notify { "appointments, told" } else { "appointments" });
        // A retry gets its first answer also when some of its times have come meanwhile.
        if !dry_run && let Some(response) = key.first_answer(&clinic, who.account, what).await? {
            return Ok(Replayable::Replayed(response));
        }
        let (columns, needed) = (&appointments::COLUMNS, appointments::NEEDED);
        let sheet = Sheet::read(&bytes, columns, needed, appointments::MOST_ROWS)?;
        let mut conn = clinic.read().await?;
        let names = Names::read(&mut conn, &sheet.rows, &clinic.country).await?;
        drop(conn);
        let mut unread = sheet.faults;
        let lines = appointments::read(&sheet.rows, &names, &frame, &mut unread);
        let doctors = appointments::doctors(&lines);
        let mut tries = Tries::default();
        loop {
            let mut faults = unread.clone();
            let mut tx = clinic.begin_telling(who.actor(), &doctors).await?;
            let mut kept = None;
            if !dry_run {
                kept = match key.begin(&mut tx, who.account, what).await? {
                    Found::Done(response) => return Ok(Replayable::Replayed(response)),
                    Found::New(kept) => kept,
                };
            }
            let entered = async {
                appointments::keep_patients(&mut tx, &lines).await?;
                appointments::enter(&mut tx, &lines, word, frame.now, &mut faults).await
            };
            let entered = match entered.await {
                Err(error) if tries.again(&error) => continue,
                other => other?,
            };
            if !dry_run && !faults.is_empty() {
                faults.sort_by_key(|fault| fault.row);
                return Err(refused(faults));
            }
            let view = ImportView {
                booked: entered.to_come,
                recorded: entered.past,
                ..ImportView::of(dry_run, sheet.rows.len(), faults)
            };
            if dry_run {
                tx.rollback().await?;
                return Ok(Replayable::now(poem::IntoResponse::into_response(Payload(view))));
            }
            let act = Act::unknown("appointments.imported", "import");
            let counts = json!({
                "rows": view.rows, "booked": view.booked, "recorded": view.recorded, "told": notify,
            });
            audit::record(&mut tx, act.details(counts)).await?;
            return Replayable::commit(tx, kept, Payload(view)).await;
        }
    }
}
