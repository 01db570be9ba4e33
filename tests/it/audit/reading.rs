//! Reads of personal data: each GET that shows some has its row, within a second, and none is lost.

use std::time::Duration;

use nadi::auth::Role;
use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::Connection;
use tokio::time::Instant;

use crate::support::{Caller, Options, Process, TestClinic, TestPlatform, until};

/// Operations that show nobody's personal data: places, published hours, free times, what kinds of doctors there are.
const IMPERSONAL: &[&str] = &[
    "listLocations",
    "getLocation",
    "listSpecializations",
    "getAvailability",
    "listSlots",
    "listClinics",
    "getClinic",
    "listTemplates",
    "getTemplate",
    "getSignInSettings",
    "getMessagingSettings",
    "getDisplayAddress",
    "readDisplay",
    "subscribeWhatsapp",
    "getSchedulingSettings",
    "listHolidays",
    "getHoliday",
    "listExtraHours",
    "getExtraHours",
    // Shows a visit to whoever has its link, and is noted as such: nobody has signed in.
    "getRespond",
    "getCalendarFeed", // the address alone
];

/// What is asked for, by the path's parameters, and the action of its row.
async fn walk(
    description: &Value,
    ids: &[(&str, String)],
    caller: &Caller,
    noted: impl AsyncFn(&str) -> bool,
) {
    let mut walked = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        let Some(operation) = methods.get("get") else { continue };
        let id = operation["operationId"].as_str().unwrap();
        if IMPERSONAL.contains(&id) {
            continue;
        }
        let filled = ids
            .iter()
            .find(|(known, _)| known == path)
            .map_or_else(|| path.clone(), |(_, filled)| filled.clone());
        assert!(!filled.contains('{'), "{id}: say here what {path} is asked for");
        let request_id = format!("walking-{id}");
        let request = caller.request(reqwest::Method::GET, &filled);
        caller.send(request.header("x-request-id", &request_id)).await.expect(200);
        until(&format!("{id} has its row: is `who.saw(…)` missing?"), async || {
            noted(&request_id).await
        })
        .await;
        walked += 1;
    }
    assert!(walked > 1);
}

async fn is_noted(connection: &mut sqlx::PgConnection, request_id: &str) -> bool {
    let row = "select exists(select from audit_log where request_id = $1 and account_id is not null
               and (action like '%.read' or action like '%.listed'))";
    sqlx::query_scalar(row).bind(request_id).fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_get_that_shows_personal_data_leaves_its_row() {
    let (platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let visit =
        admin.post("/appointments", &clinic.visit("2099-01-05T04:30:00Z")).await.expect(201).id();
    let away = serde_json::json!({ "starts_at": "2099-03-01T00:00:00Z", "ends_at": "2099-03-02T00:00:00Z" });
    let doctor = clinic.doctor;
    let away = admin.post(&format!("/doctors/{doctor}/time-off"), &away).await.expect(201).id();
    let room =
        serde_json::json!({ "kind": "room", "name": "Room 1", "location_id": clinic.location });
    let room = admin.post("/resources", &room).await.expect(201).id();
    let avatar = format!("/users/{}/avatar", clinic.account(Role::ClinicAdmin));
    let picture = admin.request(reqwest::Method::PUT, &avatar).header("if-match", "*");
    let picture =
        picture.header("content-type", "image/png").body(crate::accounts::avatars::png(8, 8));
    admin.send(picture).await.expect(200);
    let mut series = clinic.visit("2099-02-05T04:30:00Z");
    series["every_days"] = serde_json::json!(7);
    series["count"] = serde_json::json!(2);
    let series = admin.post("/appointments/series", &series).await.expect(201).id();
    let feed = clinic.caller(Role::Doctor).await.get("/calendar/feed").await.expect(200);
    let feed = feed.body["url"].as_str().unwrap().split("/api/v1").nth(1).unwrap().to_owned();
    let waits = serde_json::json!({ "patient_id": clinic.patients[0], "doctor_id": clinic.doctor });
    let waits = admin.post("/waitlist", &waits).await.expect(201).id();
    let ids = [
        ("/waitlist/{id}", format!("/waitlist/{waits}")),
        ("/appointments/series/{id}", format!("/appointments/series/{series}")),
        ("/calendar/{feed_token}.ics", feed),
        ("/appointments/calendar", "/appointments/calendar?view=month&date=2099-01-05".into()),
        ("/patients/{id}", format!("/patients/{}", clinic.patients[0])),
        ("/patients/{id}/consents", format!("/patients/{}/consents", clinic.patients[0])),
        ("/appointments/{id}", format!("/appointments/{visit}")),
        ("/appointments/{id}/history", format!("/appointments/{visit}/history")),
        ("/users/{id}/avatar", avatar),
        ("/users/{id}", format!("/users/{}", clinic.account(Role::Receptionist))),
        ("/resources/{id}", format!("/resources/{room}")),
        ("/doctors/{id}", format!("/doctors/{doctor}")),
        ("/doctors/{id}/time-off", format!("/doctors/{doctor}/time-off")),
        ("/doctors/{id}/time-off/{time_off_id}", format!("/doctors/{doctor}/time-off/{away}")),
    ];

    walk(&nadi::app::clinic_description(), &ids, &admin, async |request_id| {
        is_noted(&mut clinic.connection().await, request_id).await
    })
    .await;
    let superior = platform.super_admin().await;
    let owner = serde_json::json!({ "full_name": "Owner", "email": "owner@x.example" });
    let owner = superior.post("/clinic-admins", &owner).await.expect(201).id();
    let ids = [("/clinic-admins/{id}", format!("/clinic-admins/{owner}"))];
    walk(&nadi::app::platform_description(), &ids, &superior, async |request_id| {
        is_noted(&mut platform.server.superuser(&platform.database).await, request_id).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_says_who_saw_whom_and_a_list_names_all_that_it_showed() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let began = Instant::now();
    desk.get(&format!("/patients/{}", clinic.patients[0])).await.expect(200);
    desk.get("/patients").await.expect(200);
    desk.get(&format!("/patients/{}", nadi::ids::new_uuid())).await.expect(404);
    clinic.patient().await.get("/doctors").await.expect(200);
    desk.get(&format!("/appointments?patient_id={}", clinic.patients[1])).await.expect(200);

    until("all are noted", async || {
        clinic.count("select count(*) from audit_log where action ~ 'read|listed'").await == 3
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(10));
    type Row = (String, Option<uuid::Uuid>, Option<uuid::Uuid>, Value, Option<uuid::Uuid>);
    let rows: Vec<Row> = sqlx::query_as(
        "select action, entity_id, about_id, details, account_id from audit_log
         where action ~ 'read|listed' order by at",
    )
    .fetch_all(&mut clinic.connection().await)
    .await
    .unwrap();
    let [one, list, visits] = &rows[..] else { panic!("{rows:?}") };
    let patient = clinic.patients[0];
    assert_eq!((one.0.as_str(), one.1, one.2), ("patient.read", Some(patient), Some(patient)));
    assert!(rows.iter().all(|row| row.4 == Some(clinic.account(Role::Receptionist).0)));
    assert_eq!((list.0.as_str(), list.1), ("patient.listed", None));
    assert_eq!(list.3["count"], 2);
    assert_eq!(list.3["ids"].as_array().unwrap().len(), 2);
    assert_eq!((visits.0.as_str(), visits.2), ("appointment.listed", Some(clinic.patients[1])));
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_leave_a_process_notes_every_read_that_it_answered() {
    let platform = TestPlatform::with(Options { no_server: true, ..Options::default() }).await;
    let clinic = platform.clinic("shanti").await;
    let mut process = Process::serve(&platform.settings()).await;
    let desk = clinic
        .anybody()
        .at(&process.address, &clinic.host)
        .sign_in("receptionist@shanti.example", crate::support::PASSWORD)
        .await;
    let path = format!("/patients/{}", clinic.patients[0]);
    for _ in 0..40 {
        desk.get(&path).await.expect(200);
    }

    process.signal(Signal::SIGTERM);

    assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
    assert_eq!(
        clinic.count("select count(*) from audit_log where action = 'patient.read'").await,
        40
    );
    assert_eq!(super::verdict(&platform, &clinic).await.broken, None);
}

/// The log cannot be written for a while: reads wait for it, up to a bound, and then a read is answered only once it is noted.
#[tokio::test(flavor = "multi_thread")]
async fn where_too_many_reads_wait_the_next_is_noted_before_it_is_answered() {
    let (_platform, clinic) = TestClinic::new().await;
    // Two, for one account makes no more than a thousand calls at once.
    let readers = [clinic.desk().await, clinic.admin().await];
    let path = format!("/patients/{}", clinic.patients[0]);
    readers[0].get(&path).await.expect(200);
    let mut blocker = clinic.connection().await;
    let mut block = blocker.begin().await.unwrap();
    sqlx::query("lock table audit_log in exclusive mode").execute(&mut *block).await.unwrap();

    let mut answered = 1;
    let stuck = loop {
        let request = tokio::spawn({
            let (reader, path) = (readers[answered as usize % 2].clone(), path.clone());
            async move { reader.get(&path).await }
        });
        let deadline = Instant::now() + Duration::from_secs(3);
        while !request.is_finished() && Instant::now() < deadline {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        if !request.is_finished() {
            break request;
        }
        request.await.unwrap().expect(200);
        answered += 1;
        assert!(answered < 3_000, "nothing bounds the reads that wait");
    };
    assert!(answered >= 1_000, "{answered}");
    block.commit().await.unwrap();

    stuck.await.unwrap().expect(200);
    until("each that was answered is noted", async || {
        clinic.count("select count(*) from audit_log where action = 'patient.read'").await
            == answered + 1
    })
    .await;
}
