//! Absences, and the visits they fall on.

use reqwest::Method;
use serde_json::{Value, json};

use super::{TEN, faults, newcomer};
use crate::support::{TestClinic, until};

fn leave(from: &str, to: &str) -> Value {
    json!({ "starts_at": from, "ends_at": to })
}

#[tokio::test(flavor = "multi_thread")]
async fn time_off_takes_slots_away_and_gives_them_back() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let path = format!("/doctors/{}/time-off", clinic.doctor);
    let slots = format!("/doctors/{}/slots?from=2099-01-05&to=2099-01-06", clinic.doctor);
    let tag =
        async || admin.get(&format!("/doctors/{}", clinic.doctor)).await.header("etag").to_owned();
    let before = tag().await;

    let morning = leave(TEN, "2099-01-05T11:00:00Z");
    let given = admin.post_with_key(&path, &morning, "k").await.expect(201);
    assert_eq!(given.header("location"), format!("/api/v1{path}/{}", given.id()));
    assert_eq!(given.header("etag"), tag().await);
    assert_ne!(given.header("etag"), before);
    let again = admin.post_with_key(&path, &morning, "k").await.expect(201);
    assert_eq!(again.body, given.body);
    assert_eq!(admin.get(&slots).await.body["items"].as_array().unwrap().len(), 3);
    let refused = admin.post("/appointments", &clinic.visit(TEN)).await.expect(422);
    assert_eq!(refused.faults(), faults([("/starts_at", "on_leave")]));

    let earlier = leave("2098-01-05T04:30:00Z", "2098-01-06T04:30:00Z");
    let earlier = admin.post(&path, &earlier).await.expect(201);
    let listed = admin.get(&path).await.expect(200);
    assert_eq!(listed.body["items"], json!([earlier.body, given.body]), "by time");
    let first = admin.get(&format!("{path}?limit=1")).await.expect(200);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = admin.get(&format!("{path}?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!(second.body["items"], json!([given.body]));

    let one = format!("{path}/{}", given.id());
    assert_eq!(admin.get(&one).await.expect(200).body, given.body);
    let stale = admin.request(Method::DELETE, &one).header("if-match", &before);
    admin.send(stale).await.expect(412);
    let other = admin.post("/doctors", &newcomer()).await.expect(201).id();
    let elsewhere = format!("/doctors/{other}/time-off/{}", given.id());
    admin.get(&elsewhere).await.expect(404);
    admin.delete(&elsewhere).await.expect(404);
    admin.delete(&one).await.expect(204);
    admin.delete(&one).await.expect(404);
    admin.get(&one).await.expect(404);
    assert_eq!(admin.get(&slots).await.body["items"].as_array().unwrap().len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_off_over_visits_is_refused_until_somebody_says_what_becomes_of_them() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let path = format!("/doctors/{}/time-off", clinic.doctor);
    let visit = admin.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let cancelled = clinic.visit_of(clinic.patients[1], "2099-01-05T05:00:00Z");
    let cancelled = admin.post("/appointments", &cancelled).await.expect(201);
    admin.delete(&format!("/appointments/{}", cancelled.id())).await.expect(200);
    let mut over = leave("2099-01-05T04:59:00Z", "2099-01-05T08:00:00Z");

    let refused = admin.post_with_key(&path, &over, "k").await.expect(409);
    assert_eq!(refused.problem(), "bookings-affected");
    let bookings = refused.body["bookings"].as_array().unwrap();
    assert_eq!(bookings.len(), 1, "a cancelled visit waits for nobody: {}", refused.text);
    assert_eq!(bookings[0]["id"], visit.body["id"]);
    assert_eq!(bookings[0]["patient_name"], "Lakshmi Menon");
    admin.post(&path, &leave("2099-01-05T05:00:00Z", "2099-01-05T08:00:00Z")).await.expect(201);
    over["resolve"] = json!("move");
    let unknown = admin.post(&path, &over).await.expect(422);
    assert_eq!(unknown.faults(), faults([("/resolve", "unknown_value")]));

    over["resolve"] = json!("keep");
    admin.post_with_key(&path, &over, "k").await.expect(201);
    let visit = admin.get(&format!("/appointments/{}", visit.id())).await.expect(200);
    assert_eq!(visit.body["status"], "booked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_visits_in_the_way_are_shown_on_record_and_not_without_end() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    sqlx::query(
        "insert into appointments (id, patient_id, doctor_id, location_id, kind, during)
         select gen_random_uuid(), $1, $2, $3, 'in_person', tstzrange(at, at + interval '5 min')
         from generate_series(timestamptz '2099-01-05T03:30:00Z', '2099-01-05T21:00:00Z', interval '5 min') as at",
    )
    .bind(clinic.patients[0])
    .bind(clinic.doctor)
    .bind(clinic.location)
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    let off = leave("2099-01-05T00:00:00Z", "2099-01-07T00:00:00Z");
    let closed = json!({ "first_day": "2099-01-05", "last_day": "2099-01-06", "name": "Pongal" });
    let (off_path, doctor) =
        (format!("/doctors/{}/time-off", clinic.doctor), format!("/doctors/{}", clinic.doctor));
    let user = format!("/users/{}", clinic.doctor);
    let account = admin.get(&user).await.expect(200);
    let mut desk = account.body.clone();
    desk["role"] = json!("receptionist");

    let refused = [
        admin.post(&off_path, &off).await,
        admin.post("/holidays", &closed).await,
        admin.delete(&doctor).await,
        admin.delete(&user).await,
        admin.put(&user, account.header("etag"), &desk).await,
        admin.patch(&format!("{user}/status"), "*", &json!({ "status": "suspended" })).await,
    ];

    for refused in refused {
        let refused = refused.expect(409);
        assert_eq!(refused.problem(), "bookings-affected");
        assert_eq!(refused.body["bookings"].as_array().unwrap().len(), 200);
        assert_eq!(refused.body["total"], 211, "{}", refused.body["detail"]);
    }
    let noted = "select count(*) from audit_log where action = 'appointment.listed' and details ->> 'count' = '200'";
    until("each is on record", async || clinic.count(noted).await == 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_booking_slips_in_while_time_off_is_given() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let path = format!("/doctors/{}/time-off", clinic.doctor);
    for day in 10..20 {
        let at = format!("2099-01-{day}T04:30:00Z");
        let (visit, off) = (clinic.visit(&at), leave(&at, &format!("2099-01-{day}T05:00:00Z")));

        let (given, booked) =
            tokio::join!(admin.post(&path, &off), desk.post("/appointments", &visit));

        match (given.status.as_u16(), booked.status.as_u16()) {
            (201, 422) => assert_eq!(booked.faults(), faults([("/starts_at", "on_leave")])),
            (409, 201) => assert_eq!(given.problem(), "bookings-affected"),
            other => panic!("{other:?}: {} {}", given.text, booked.text),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_time_off_names_every_fault() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let path = format!("/doctors/{}/time-off", clinic.doctor);

    for (body, named) in [
        (
            json!({ "ends_at": "soon", "why": 1 }),
            vec![
                ("/starts_at", "required"),
                ("/ends_at", "invalid_format"),
                ("/why", "unknown_field"),
            ],
        ),
        (leave(TEN, TEN), vec![("/ends_at", "out_of_range")]),
        (leave("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"), vec![("/ends_at", "in_the_past")]),
    ] {
        let refused = admin.post(&path, &body).await.expect(422);
        let named: Vec<_> = named.iter().map(|(at, code)| ((*at).into(), (*code).into())).collect();
        assert_eq!(refused.faults(), named);
    }
    let nobody = format!("/doctors/{}/time-off", nadi::ids::new_uuid());
    admin.post(&nobody, &json!({})).await.expect(404);
    admin.get(&nobody).await.expect(404);
}
