//! Each SMS costs money, and some ask for codes only to make it flow (toll fraud). So: mobile numbers of chosen countries
//! alone, a budget for each day, and none for strangers while few codes are used or a block of numbers is walked through.
//! None of this locks anybody out: other channels go on, and the answer was given before.

use chrono::NaiveDate;
use phonenumber::Type;
use phonenumber::metadata::DATABASE;
use uuid::Uuid;

use super::model::Identifier;
use super::store;
use crate::metrics::ALARMS;
use crate::outbox::OutboxRow;
use crate::tenancy::Clinic;
use crate::tenancy::pools::Conn;
use crate::time;

/// From so many in a quarter of an hour on it counts how many were used.
const WATCHED_FROM: i64 = 50;
/// One in so many has to be used.
const USED_ONE_IN: i64 = 5;
/// Strangers of one block of ten thousand numbers in an hour.
const STRANGERS_OF_BLOCK: i64 = 20;
/// A day with fewer is no cause for alarm, however quiet the days before were.
const QUIET: f64 = 50.0;

/// Why this number gets no SMS, if it gets none.
pub async fn barred(
    clinic: &Clinic,
    conn: &mut Conn,
    phone: &str,
    request: Uuid,
    known: bool,
) -> sqlx::Result<Option<&'static str>> {
    let mut countries = store::sms_countries(conn).await?;
    if countries.is_empty() {
        countries.push(clinic.country.clone());
    }
    if let Some(why) = unfit(phone, &countries) {
        return Ok(Some(why));
    }
    if known {
        return Ok(None);
    }
    let (sent, used) = store::conversion(conn).await?;
    if sent >= WATCHED_FROM && used * USED_ONE_IN < sent {
        ALARMS.with_label_values(&["sms_codes_unused"]).inc();
        return Ok(Some("few of the codes sent by SMS are used"));
    }
    let prefix_mac = Identifier::Phone(phone.to_owned()).prefix_mac(&clinic.keys);
    if let Some(prefix_mac) = prefix_mac
        && store::strangers_of_block(conn, &prefix_mac, request).await? >= STRANGERS_OF_BLOCK
    {
        ALARMS.with_label_values(&["sms_codes_block"]).inc();
        return Ok(Some("many numbers of its block were asked for"));
    }
    Ok(None)
}

/// A number that no SMS is sent to, whoever has it: of another country, or none that a pocket holds.
fn unfit(phone: &str, countries: &[String]) -> Option<&'static str> {
    let Ok(number) = phonenumber::parse(None, phone) else { return Some("no number") };
    let country = number.country().id().map(|id| id.as_ref().to_owned());
    if !country.is_some_and(|country| countries.contains(&country)) {
        return Some("of a country that is not on the list");
    }
    match number.number_type(&DATABASE) {
        Type::Mobile | Type::FixedLineOrMobile => None,
        _ => Some("no mobile number"),
    }
}

/// Takes one SMS from the day's budget, right before it is handed over; false when none is left. Exact on all instances:
/// one statement counts and compares.
pub async fn take(clinic: &Clinic, conn: &mut Conn, row: &OutboxRow) -> sqlx::Result<bool> {
    let day = time::date_in(clinic.zone, clinic.clock.now());
    let Some(sent) = store::take_sms(conn, row, day).await? else {
        ALARMS.with_label_values(&["sms_budget_spent"]).inc();
        tracing::warn!(clinic = %clinic.slug, %day, "today's budget of SMS with codes is spent");
        return Ok(false);
    };
    alarm_when_unusual(clinic, conn, day, sent).await?;
    Ok(true)
}

/// Once on a day, when it passes three times the mean of those before.
async fn alarm_when_unusual(
    clinic: &Clinic,
    conn: &mut Conn,
    day: NaiveDate,
    sent: i32,
) -> sqlx::Result<()> {
    let Some(mean) = store::mean_sms_before(conn, day).await? else { return Ok(()) };
    if sent == (3.0 * mean).max(QUIET).floor() as i32 + 1 {
        ALARMS.with_label_values(&["sms_codes_unusual"]).inc();
        tracing::warn!(clinic = %clinic.slug, sent, mean, "three times the usual SMS with codes today");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sms_goes_to_mobile_numbers_of_listed_countries_alone() {
        let india = ["IN".to_owned()];
        for good in ["+919847012345", "+916950123456", "+917012345678"] {
            assert_eq!(unfit(good, &india), None, "{good}");
        }
        for (bad, why) in [
            ("+914842345678", "no mobile number"), // a landline in Kochi
            ("+911800123456", "no mobile number"), // free of charge
            ("+441632960961", "of a country that is not on the list"),
            ("+12025550123", "of a country that is not on the list"),
            ("+881612345678", "of a country that is not on the list"), // a satellite
            ("+979123456789", "of a country that is not on the list"), // premium, of no country
        ] {
            assert_eq!(unfit(bad, &india), Some(why), "{bad}");
        }
        assert_eq!(unfit("+447400123456", &["IN".to_owned(), "GB".to_owned()]), None);
        assert_eq!(unfit("+449098790000", &["GB".to_owned()]), Some("no mobile number")); // premium
    }
}
