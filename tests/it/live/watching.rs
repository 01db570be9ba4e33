//! Who hears of what, on whatever instance.

use nadi::auth::Role;
use reqwest::Method;
use serde_json::json;

use super::{ELEVEN, HALF_PAST, TEN, Watcher, book, pair};
use crate::support::TestClinic;

#[tokio::test(flavor = "multi_thread")]
async fn each_hears_of_the_visits_that_he_may_see() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let (patient, therapist) = (clinic.patient().await, clinic.caller(Role::Therapist).await);
    let accountant = clinic.caller(Role::Accountant).await;
    let (mut at_the_desk, mut at_home) = (Watcher::new(&desk).await, Watcher::new(&patient).await);
    let (mut in_the_room, mut in_the_office) =
        (Watcher::new(&therapist).await, Watcher::new(&accountant).await);

    let mine = book(&clinic, &desk, 0, TEN).await;
    let others = book(&clinic, &desk, 1, HALF_PAST).await;
    // The therapist takes part from now on, until it moves.
    sqlx::query(
        "insert into claims (appointment_id, subject_id, during) select id, $2, during from appointments where id = $1",
    )
    .bind(others.parse::<uuid::Uuid>().unwrap())
    .bind(clinic.account(Role::Therapist))
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    let told = json!({ "patient_id": clinic.patients[1], "doctor_id": clinic.doctor, "kind": "in_person",
                       "starts_at": HALF_PAST, "reason": "a cough" });
    desk.put(&format!("/appointments/{others}"), "*", &told).await.expect(200);
    let elsewhere = clinic.visit_of(clinic.patients[1], ELEVEN);
    desk.put(&format!("/appointments/{others}"), "*", &elsewhere).await.expect(200);
    desk.delete(&format!("/appointments/{others}")).await.expect(200);
    desk.delete(&format!("/appointments/{mine}")).await.expect(200);

    for watcher in [&mut at_the_desk, &mut in_the_office] {
        for (kind, visit) in [
            ("booked", &mine),
            ("booked", &others),
            ("changed", &others),
            ("moved", &others),
            ("cancelled", &others),
            ("cancelled", &mine),
        ] {
            assert_eq!(watcher.hears().await, pair(kind, visit));
        }
    }
    assert_eq!(at_home.hears().await, pair("booked", &mine));
    let last = at_home.next().await.unwrap();
    assert_eq!(
        last.data,
        json!({ "kind": "appointment.cancelled", "at": last.data["at"], "appointment_id": mine,
                "doctor_id": clinic.doctor, "patient_id": clinic.patients[0],
                "location_id": clinic.location, "status": "cancelled" })
    );
    assert_eq!(in_the_room.hears().await, pair("changed", &others));
    assert_eq!(in_the_room.hears().await, pair("moved", &others));
    // What came after that was not for him: the next that he hears of is the next that claims him.
    let next = book(&clinic, &desk, 1, TEN).await;
    sqlx::query("insert into claims (appointment_id, subject_id, during) select id, $2, during from appointments where id = $1")
        .bind(next.parse::<uuid::Uuid>().unwrap())
        .bind(clinic.account(Role::Therapist))
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    desk.delete(&format!("/appointments/{next}")).await.expect(200);
    assert_eq!(in_the_room.hears().await, pair("cancelled", &next));
    clinic.caller(Role::Pharmacist).await.get("/live").await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_is_one_that_nobody_keeps_back() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;

    let watcher = Watcher::new(&desk).await;

    let header = |name: &str| watcher.response.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-accel-buffering"), "no");
    desk.send(desk.request(Method::HEAD, "/live")).await.expect(200);
    let refused = desk.get("/live?colour=blue").await.expect(422);
    assert_eq!(refused.faults(), [("colour".to_owned(), "unknown_field".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_instance_did_is_heard_on_another() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let mut there = Watcher::new(&desk.at(&second.address, &clinic.host)).await;
    let mut here = Watcher::new(&desk).await;

    for (number, at) in [TEN, HALF_PAST, ELEVEN].into_iter().enumerate() {
        let visit = book(&clinic, &desk, number % 2, at).await;
        assert_eq!(here.hears().await, pair("booked", &visit));
        assert_eq!(there.hears().await, pair("booked", &visit));
    }
    assert_eq!(here.last_id, there.last_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_hears_no_notice_looks_for_itself() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let mut there = Watcher::new(&desk.at(&second.address, &clinic.host)).await;
    let mut superuser = platform.server.superuser("postgres").await;
    for sql in [
        format!("alter database {} with allow_connections false", platform.database),
        format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{}'",
            platform.database
        ),
    ] {
        nadi::tenancy::roles::execute(&mut superuser, sql).await.unwrap();
    }

    let visit = book(&clinic, &desk, 0, TEN).await;

    assert_eq!(there.hears().await, pair("booked", &visit));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_clinic_hears_nothing_of_another() {
    let (platform, shanti) = TestClinic::new().await;
    let arogya = platform.clinic("arogya").await;
    let mut watcher = Watcher::new(&shanti.desk().await).await;

    book(&arogya, &arogya.desk().await, 0, TEN).await;
    let own = book(&shanti, &shanti.desk().await, 0, TEN).await;

    assert_eq!(watcher.hears().await, pair("booked", &own));
    let elsewhere = arogya.desk().await.at(&platform.address, &shanti.host);
    elsewhere.get("/live").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_not_told() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut watcher = Watcher::new(&desk).await;
    let first = book(&clinic, &desk, 0, TEN).await;

    desk.post("/appointments", &clinic.visit_of(clinic.patients[1], TEN)).await.expect(409);
    let second = book(&clinic, &desk, 1, HALF_PAST).await;

    assert_eq!(watcher.hears().await, pair("booked", &first));
    assert_eq!(watcher.hears().await, pair("booked", &second));
}
