//! What a message says. Written at sending, from what is true then: a changed address or time counts. A subject never names
//! a condition, a speciality or a medicine: others read over shoulders.

use chrono::{DateTime, Utc};
use html_escape::encode_text as escaped;

use crate::one_time_codes::{self, Unaddressed};
use crate::outbox::{self, OutboxRow};
use crate::tenancy::Clinic;
use crate::tenancy::pools::Conn;
use crate::time;

/// A message, ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub name: String,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub subject: String,
    pub text: String,
    /// By which it may go, in this order; empty: as the clinic's policy says.
    pub channels: Vec<String>,
}

/// What an intent becomes.
#[derive(Debug)]
pub enum Composed {
    Letter(Letter),
    /// Nobody needs it any more, or nobody can have it: why.
    Needless(&'static str),
}

#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error("no letter is known for {0}")]
    UnknownPurpose(String),
    #[error("its payload does not open")]
    Unreadable,
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

#[derive(sqlx::FromRow)]
struct Visit {
    number: String,
    status: String,
    starts_at: DateTime<Utc>,
    patient_name: String,
    email: Option<String>,
    phone: Option<String>,
    doctor_name: String,
    location_name: String,
    location_address: String,
    time_zone: String,
}

/// Writes the letter of an intent.
pub async fn compose(
    clinic: &Clinic,
    conn: &mut Conn,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    match row.purpose.as_str() {
        "appointment.booked" | "appointment.moved" | "appointment.cancelled" => {
            of_visit(clinic, conn, row).await
        }
        "account.invited" => invitation(clinic, conn, row).await,
        "code.sign_in" | "code.register" => one_time_code(clinic, conn, row).await,
        other => Err(ComposeError::UnknownPurpose(other.to_owned())),
    }
}

async fn of_visit(
    clinic: &Clinic,
    conn: &mut Conn,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let visit: Option<Visit> = sqlx::query_as(
        "select a.number, a.status, lower(a.during) as starts_at, p.full_name as patient_name, p.email, p.phone,
                u.full_name as doctor_name, l.name as location_name, l.address as location_address, l.time_zone
         from appointments a join patients p on p.id = a.patient_id and p.deleted_at is null
         join users u on u.id = a.doctor_id join locations l on l.id = a.location_id
         where a.id = $1",
    )
    .bind(row.subject_id)
    .fetch_optional(conn)
    .await?;
    let Some(visit) = visit else { return Ok(Composed::Needless("the patient is gone")) };
    let cancelled = row.purpose == "appointment.cancelled";
    if cancelled != (visit.status == "cancelled") {
        return Ok(Composed::Needless("the visit has changed since"));
    }
    let (subject, happened) = match row.purpose.as_str() {
        "appointment.booked" => ("Your appointment is booked", "is booked for"),
        "appointment.moved" => ("Your appointment has moved", "has moved to"),
        _ => ("Your appointment is cancelled", "is cancelled. It was to be on"),
    };
    let when = in_words(&visit.time_zone, visit.starts_at);
    let place = [visit.location_name.as_str(), visit.location_address.as_str()];
    let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
    let text = format!(
        "Dear {},\n\nyour appointment {} with {} {happened} {when}.\n\n{}\n\n{}\n",
        given_name(&visit.patient_name),
        visit.number,
        visit.doctor_name,
        place.join("\n"),
        clinic.name,
    );
    Ok(Composed::Letter(Letter {
        name: visit.patient_name,
        email: visit.email,
        phone: visit.phone,
        subject: format!("{subject} · {}", clinic.name),
        text,
        channels: row.channels.clone(),
    }))
}

async fn invitation(
    clinic: &Clinic,
    conn: &mut Conn,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let place = outbox::payload_place(&row.dedupe_key);
    let sealed = row.payload_cipher.as_deref().ok_or(ComposeError::Unreadable)?;
    let token = clinic.keys.fields.open(&place, sealed).map_err(|_| ComposeError::Unreadable)?;
    let token = String::from_utf8(token).map_err(|_| ComposeError::Unreadable)?;
    let who: Option<(String, Option<String>)> = sqlx::query_as(
        "select full_name, email from users where id = $1 and deleted_at is null and status = 'active'",
    )
    .bind(row.user_id)
    .fetch_optional(conn)
    .await?;
    let Some((name, email)) = who else { return Ok(Composed::Needless("the account is gone")) };
    let link = crate::auth::links::url(&clinic.url, &token);
    let text = format!(
        "Dear {},\n\nyou have an account at {}. Set your password here, within three days:\n\n{link}\n\n\
         If you did not expect this, do nothing.\n",
        given_name(&name),
        clinic.name,
    );
    Ok(Composed::Letter(Letter {
        name,
        email,
        phone: None, // a link that opens an account goes to its e-mail alone
        subject: format!("Your account at {}", clinic.name),
        text,
        channels: row.channels.clone(),
    }))
}

/// The code comes first: a preview shows little. It is not in the subject, which others see.
async fn one_time_code(
    clinic: &Clinic,
    conn: &mut Conn,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let to = match one_time_codes::addressed(clinic, conn, row).await {
        Ok(to) => to,
        Err(Unaddressed::Needless(why)) => return Ok(Composed::Needless(why)),
        Err(Unaddressed::Unreadable) => return Err(ComposeError::Unreadable),
        Err(Unaddressed::Db(error)) => return Err(error.into()),
    };
    let left = (row.expires_at - clinic.clock.now()).num_seconds();
    let minutes = (left.max(1) + 59) / 60;
    let minutes = if minutes == 1 { "a minute".to_owned() } else { format!("{minutes} minutes") };
    let dear = to.name.as_deref().map(|name| format!("Dear {},\n\n", given_name(name)));
    let text = format!(
        "{} is your code for {}.\n\n{}it is good for {minutes}, once. Nobody of the clinic will ever ask you for it. \
         If you did not ask for it, do nothing.\n",
        to.code,
        clinic.name,
        dear.as_deref().unwrap_or_default(),
    );
    Ok(Composed::Letter(Letter {
        name: to.name.unwrap_or_default(),
        email: to.email,
        phone: to.phone,
        subject: format!("Your code · {}", clinic.name),
        text,
        channels: to.channels,
    }))
}

/// How a letter greets: the first name, and the one after a title.
fn given_name(full_name: &str) -> &str {
    let mut parts = full_name.split_whitespace();
    let first = parts.next().unwrap_or(full_name);
    let is_title =
        matches!(first.trim_end_matches('.'), "Dr" | "Mr" | "Mrs" | "Ms" | "Smt" | "Shri" | "Sri");
    if is_title { parts.next().unwrap_or(first) } else { first }
}

/// `Monday, 23 November 2026, 10:30 (Asia/Kolkata)`
fn in_words(zone_name: &str, at: DateTime<Utc>) -> String {
    let zone = time::zone(zone_name).unwrap_or(chrono_tz::Tz::UTC);
    format!("{} ({zone_name})", at.with_timezone(&zone).format("%A, %-d %B %Y, %H:%M"))
}

impl Letter {
    /// The same words, for mail programs that show HTML.
    pub fn html(&self) -> String {
        let paragraphs: Vec<String> = self
            .text
            .trim()
            .split("\n\n")
            .map(|paragraph| {
                let lines: Vec<String> = paragraph
                    .lines()
                    .map(|line| match line.starts_with("http") {
                        true => {
                            let href = html_escape::encode_double_quoted_attribute(line);
                            format!("<a href=\"{href}\">{}</a>", escaped(line))
                        }
                        false => escaped(line).into_owned(),
                    })
                    .collect();
                format!("<p>{}</p>", lines.join("<br>"))
            })
            .collect();
        format!("<!doctype html><html><body>{}</body></html>", paragraphs.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_greets_by_given_name() {
        for (full, given) in [
            ("Lakshmi Menon", "Lakshmi"),
            ("Dr. Anand Varma", "Anand"),
            ("ലക്ഷ്മി", "ലക്ഷ്മി"),
            ("Smt Kamala", "Kamala"),
        ] {
            assert_eq!(given_name(full), given);
        }
    }

    #[test]
    fn names_cannot_write_html() {
        let letter = Letter {
            name: "x".into(),
            email: None,
            phone: None,
            subject: "s".into(),
            text: "Dear <script>alert(1)</script>,\n\nhttps://a.example/?t=\"><b>".into(),
            channels: Vec::new(),
        };

        assert!(!letter.html().contains("<script>") && !letter.html().contains("\"><b>"));
    }

    #[test]
    fn times_are_told_in_the_locations_zone() {
        let at = "2026-11-23T05:00:00Z".parse().unwrap();

        assert_eq!(in_words("Asia/Kolkata", at), "Monday, 23 November 2026, 10:30 (Asia/Kolkata)");
    }
}
