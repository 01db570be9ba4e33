//! Feeds, read by a parser that is not ours.

use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty,
};
use chrono::{DateTime, TimeDelta, Utc};
use nadi::auth::Role;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Answer, Caller, TestClinic, TestPlatform, until};

/// A feed's address below the API's base.
async fn feed_of(caller: &Caller) -> String {
    path(&caller.get("/calendar/feed").await.expect(200))
}

fn path(answer: &Answer) -> String {
    let url = answer.body["url"].as_str().unwrap();
    url.split("/api/v1").nth(1).unwrap().to_owned()
}

fn parsed(text: &str) -> ICalendar {
    ICalendar::parse(text).unwrap_or_else(|entry| panic!("no calendar: {entry:?}\n{text}"))
}

fn events(calendar: &ICalendar) -> Vec<&ICalendarComponent> {
    let is_event =
        |part: &&ICalendarComponent| part.component_type == ICalendarComponentType::VEvent;
    calendar.components.iter().filter(is_event).collect()
}

fn text(event: &ICalendarComponent, property: ICalendarProperty) -> String {
    let entry = event.property(&property).unwrap_or_else(|| panic!("{property:?} is missing"));
    let value = entry.values.first().unwrap();
    value.as_text().map_or_else(|| format!("{value:?}"), str::to_owned)
}

/// The instant of a property, in the zone that it names.
fn instant(
    calendar: &ICalendar,
    event: &ICalendarComponent,
    property: ICalendarProperty,
) -> DateTime<Utc> {
    let entry = event.property(&property).unwrap();
    let zones = calendar.build_tz_resolver();
    let zone = zones.resolve_or_default(entry.tz_id());
    let at = entry.values.first().unwrap().as_partial_date_time().unwrap();
    at.to_date_time_with_tz(zone).unwrap().to_utc()
}

async fn location(clinic: &TestClinic, zone: &str) -> Uuid {
    let id = nadi::ids::new_uuid();
    sqlx::query("insert into locations (id, name, address, time_zone) values ($1, $2, 'A road; a door, a bell', $2)")
        .bind(id)
        .bind(zone)
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    id
}

/// Whatever somebody types, and whatever a clinic is called: text without a meaning of its own.
const HOSTILE: &str =
    "മലയാളം; സംസാരിക്കുന്നവർ, \\n \"ഡോക്ടർ\" വൈദ്യരത്നം ആയുർവേദ ചികിത്സാലയം തൃശ്ശൂർ\r\nBEGIN:VEVENT\nUID:x";

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_right_on_both_sides_of_every_change_of_the_clocks() {
    let (_platform, clinic) = TestClinic::new().await;
    let today = Utc::now().date_naive().and_hms_opt(9, 30, 0).unwrap().and_utc();
    let mut expected = Vec::new();
    for zone in [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Sydney",
        "Asia/Kolkata",
        "Africa/Casablanca",
    ] {
        let location = location(&clinic, zone).await;
        for week in -12..56 {
            let at = today + TimeDelta::weeks(week);
            let id = nadi::ids::new_uuid();
            sqlx::query(
                "insert into appointments (id, patient_id, doctor_id, location_id, kind, during)
                 values ($1, $2, $3, $4, 'in_person', tstzrange($5, $5 + interval '30 minutes'))",
            )
            .bind(id)
            .bind(clinic.patients[0])
            .bind(clinic.doctor)
            .bind(location)
            .bind(at)
            .execute(&mut clinic.connection().await)
            .await
            .unwrap();
            expected.push((format!("{id}@{}", clinic.host), at));
        }
    }
    let feed = feed_of(&clinic.caller(Role::Doctor).await).await;

    let answer = clinic.anybody().get(&feed).await.expect(200);

    let calendar = parsed(&answer.text);
    let mut found: Vec<(String, DateTime<Utc>)> = events(&calendar)
        .into_iter()
        .map(|event| {
            let (from, to) = (
                instant(&calendar, event, ICalendarProperty::Dtstart),
                instant(&calendar, event, ICalendarProperty::Dtend),
            );
            assert_eq!(to - from, TimeDelta::minutes(30));
            (event.uid().unwrap().to_owned(), from)
        })
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found.len(), 5 * 68);
    assert_eq!(found, expected);
    assert!(answer.text.contains("DTSTART;TZID=Europe/Berlin:"), "local times, not UTC");
    assert!(answer.text.contains("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU"), "{}", answer.text);
    if let Some(file) = std::env::var_os("NADI_SAVE_FEED") {
        std::fs::write(file, &answer.text).unwrap(); // to be looked at with other readers
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_whole_whatever_is_written_in_it_and_says_no_more_than_it_must() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, doctor) = (clinic.desk().await, clinic.caller(Role::Doctor).await);
    let at = (Utc::now() + TimeDelta::days(20)).format("%Y-%m-%dT04:30:00Z").to_string();
    let mut visit = clinic.visit(&at);
    visit["reason"] = json!("a very private reason");
    let booked = desk.post("/appointments", &visit).await.expect(201);
    let mut connection = clinic.connection().await;
    for sql in [
        "update patients set full_name = $1, number = 'P-000777' where user_id is not null",
        "update locations set name = $1",
    ] {
        sqlx::query(sql).bind(HOSTILE).execute(&mut connection).await.unwrap();
    }

    let feed = feed_of(&doctor).await;
    let answer = clinic.anybody().get(&feed).await.expect(200);

    assert_eq!(answer.header("content-type"), "text/calendar; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert!(answer.text.ends_with("END:VCALENDAR\r\n"));
    assert!(!answer.text.replace("\r\n", "").contains(['\r', '\n']), "lines end with both");
    assert!(answer.text.split("\r\n").all(|line| line.len() <= 75), "{}", answer.text);
    for line in ["METHOD:PUBLISH", "REFRESH-INTERVAL;VALUE=DURATION:PT1H", "VERSION:2.0"] {
        assert!(answer.text.contains(&format!("\r\n{line}\r\n")), "{line}");
    }
    let calendar = parsed(&answer.text);
    let all = events(&calendar);
    let [event] = all[..] else { panic!("one event: {}", answer.text) };
    assert_eq!(event.uid().unwrap(), format!("{}@{}", booked.id(), clinic.host));
    assert_eq!(text(event, ICalendarProperty::Summary), "P-000777");
    let place = HOSTILE.replace("\r\n", "\n");
    assert_eq!(text(event, ICalendarProperty::Location), place);
    for secret in ["private reason", "Lakshmi"] {
        assert!(!answer.text.contains(secret), "{secret}");
    }

    // Names only where the doctor asks for them; and then at another address.
    let named =
        doctor.post("/calendar/feed/rotate?patient_names=true", &json!({})).await.expect(200);
    assert_eq!(named.body["patient_names"], true);
    clinic.anybody().get(&feed).await.expect(404);
    let answer = clinic.anybody().get(&path(&named)).await.expect(200);
    let calendar = parsed(&answer.text);
    assert_eq!(
        text(events(&calendar)[0], ICalendarProperty::Summary),
        format!("{place} (P-000777)")
    );
    assert!(!answer.text.contains("private reason"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_raises_the_sequence_and_what_is_cancelled_stays_as_cancelled() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, patient) = (clinic.desk().await, clinic.patient().await);
    let day = (Utc::now() + TimeDelta::days(20)).date_naive();
    let body = clinic.visit(&format!("{day}T04:30:00Z"));
    let booked = desk.post("/appointments", &body).await.expect(201);
    let others = clinic.visit_of(clinic.patients[1], &format!("{day}T06:30:00Z"));
    desk.post("/appointments", &others).await.expect(201);
    let feed = feed_of(&patient).await;
    let anybody = clinic.anybody();
    let read = async || {
        let answer = anybody.get(&feed).await.expect(200);
        let calendar = parsed(&answer.text);
        let all = events(&calendar);
        let [event] = all[..] else { panic!("a patient's own alone: {}", answer.text) };
        let sequence = event.property(&ICalendarProperty::Sequence).unwrap().values[0].as_integer();
        (sequence.unwrap(), event.status().map(|status| format!("{status:?}")), answer)
    };

    let (first, status, answer) = read().await;
    assert_eq!(status.as_deref(), Some("Tentative"));
    assert!(answer.text.contains("SUMMARY:doctor of shanti\\, "), "{}", answer.text);
    let known = anybody.request(Method::GET, &feed).header("if-none-match", answer.header("etag"));
    let unchanged = anybody.send(known).await.expect(304);
    assert!(unchanged.text.is_empty());
    assert_eq!(unchanged.header("etag"), answer.header("etag"));

    let path = format!("/appointments/{}", booked.id());
    let later = clinic.visit(&format!("{day}T05:30:00Z"));
    desk.put(&path, booked.header("etag"), &later).await.expect(200);
    let (second, _, moved) = read().await;
    assert!(second > first);
    assert_ne!(moved.header("etag"), answer.header("etag"));
    desk.delete(&path).await.expect(200);
    let (third, status, _) = read().await;
    assert!(third > second);
    assert_eq!(status.as_deref(), Some("Cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_good_at_its_clinic_until_it_is_given_up_or_its_owner_goes() {
    let platform = TestPlatform::new().await;
    let clinic = platform.clinic("shanti").await;
    let elsewhere = platform.clinic("arogya").await;
    let doctor = clinic.caller(Role::Doctor).await;
    let feed = feed_of(&doctor).await;
    assert_eq!(feed_of(&doctor).await, feed, "looking it up changes nothing");
    assert_eq!(clinic.count("select count(*) from calendar_feeds").await, 0);
    let anybody = clinic.anybody();
    anybody.get(&feed).await.expect(200);
    elsewhere.anybody().get(&feed).await.expect(404);
    anybody.get(feed.trim_end_matches(".ics")).await.expect(404);
    let forged = format!("{}AAAA.ics", &feed[..feed.len() - 8]);
    anybody.get(&forged).await.expect(404);
    anybody.get("/calendar/nothing.ics").await.expect(404);

    let rotate = |names| {
        doctor
            .request(Method::POST, &format!("/calendar/feed/rotate?patient_names={names}"))
            .header("idempotency-key", "once")
    };
    let first = doctor.send(rotate(false)).await.expect(200);
    let again = doctor.send(rotate(false)).await.expect(200);
    assert_eq!(first.body, again.body, "the same key, the same address");
    assert_eq!(doctor.send(rotate(true)).await.expect(422).problem(), "idempotency-key-reused");
    let new = path(&first);
    assert_ne!(new, feed);
    anybody.get(&feed).await.expect(404);
    anybody.get(&new).await.expect(200);
    assert_eq!(
        clinic.count("select count(*) from audit_log where action = 'calendar_feed.rotated'").await,
        1
    );

    let mut connection = clinic.connection().await;
    for (hidden, shown) in [
        ("update users set status = 'suspended'", "update users set status = 'active'"),
        ("update users set role = 'receptionist'", "update users set role = 'doctor'"),
        ("update users set deleted_at = now()", "update users set deleted_at = null"),
    ] {
        for (sql, status) in [(hidden, 404), (shown, 200)] {
            sqlx::query(sqlx::AssertSqlSafe(format!("{sql} where id = $1")))
                .bind(clinic.doctor)
                .execute(&mut connection)
                .await
                .unwrap();
            anybody.get(&new).await.expect(status);
        }
    }
    clinic.desk().await.get("/calendar/feed").await.expect(403);
    let patient = clinic.patient().await;
    patient.post("/calendar/feed/rotate?patient_names=true", &json!({})).await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_visit_of_a_long_feed_is_named_in_the_log() {
    let (_platform, clinic) = TestClinic::new().await;
    sqlx::query(
        "insert into appointments (id, patient_id, doctor_id, location_id, kind, during)
         select gen_random_uuid(), $1, $2, $3, 'in_person',
                tstzrange(now() + make_interval(hours => n), now() + make_interval(hours => n, mins => 30))
         from generate_series(1, 401) as n",
    )
    .bind(clinic.patients[0])
    .bind(clinic.doctor)
    .bind(clinic.location)
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    let feed = feed_of(&clinic.caller(Role::Doctor).await).await;

    clinic.anybody().get(&feed).await.expect(200);

    let named = "select count(distinct named.id) from audit_log,
                        jsonb_array_elements_text(details -> 'ids') as named (id)
                 where action = 'calendar_feed.listed' and named.id::uuid in (select a.id from appointments a)";
    until("all are named", async || clinic.count(named).await == 401).await;
    let rows = "select count(*) from audit_log where action = 'calendar_feed.listed'
                and (details ->> 'count')::int = jsonb_array_length(details -> 'ids')";
    assert_eq!(clinic.count(rows).await, 3, "200 in a row at most");
}
