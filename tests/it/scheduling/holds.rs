//! A time that is kept for somebody who has not said yes.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use nadi::actor::Actor;
use nadi::appointments::{AppointmentRequest, BookError, Booker, Kind, hold};
use nadi::ids::HoldId;
use nadi::tenancy::directory::Idle;
use nadi::tenancy::hinter::Hinter;
use nadi::tenancy::{Clinic, Directory};
use nadi::worker::FastPath;
use serde_json::json;

use super::{HALF_PAST, TEN, slots};
use crate::support::{TestClinic, TestPlatform};

async fn handle(platform: &TestPlatform, clinic: &TestClinic) -> Arc<Clinic> {
    let core = &platform.core;
    let directory = Directory::new(
        core.central.clone(),
        core.settings.clone(),
        core.clock.clone(),
        core.notices.clone(),
        Hinter::start(core.central.home.clone()),
        FastPath::default(),
        Idle::default(),
    );
    directory.clinic_by_id(clinic.id).await.unwrap()
}

fn wanted(clinic: &TestClinic, at: &str) -> AppointmentRequest {
    AppointmentRequest {
        patient_id: clinic.patients[0].into(),
        doctor_id: clinic.doctor.into(),
        location_id: None,
        kind: Kind::InPerson,
        starts_at: at.parse().unwrap(),
        duration_minutes: None,
        reason: None,
        address: None,
        resource_ids: None,
        overbook: None,
    }
}

const STAFF: Booker = Booker { only_patient: None };

async fn held(
    clinic: &Clinic,
    wanted: &AppointmentRequest,
    until: DateTime<Utc>,
) -> Result<HoldId, BookError> {
    let mut tx = clinic.begin_locking(Actor::default(), &wanted.subjects()).await.unwrap();
    let held = hold::hold(&mut tx, wanted, STAFF, until, clinic.clock.now()).await?;
    tx.commit().await.unwrap();
    Ok(held.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_time_is_nobodys_until_the_hold_lapses() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, here) = (clinic.desk().await, handle(&platform, &clinic).await);
    let until = platform.clock.now() + TimeDelta::minutes(60);

    held(&here, &wanted(&clinic, TEN), until).await.unwrap();

    assert_eq!(slots(&desk, &clinic, "").await.len(), 15);
    let other = clinic.visit_of(clinic.patients[1], TEN);
    let refused = desk.post("/appointments", &other).await.expect(409);
    assert_eq!(refused.body["alternatives"][0], HALF_PAST);
    let again = held(&here, &wanted(&clinic, TEN), until).await;
    assert!(matches!(again, Err(BookError::SlotTaken)), "{again:?}");
    let own = clinic.visit(TEN);
    desk.post("/appointments", &own).await.expect(409);

    platform.clock.advance(TimeDelta::minutes(61));
    let desk = clinic.desk().await; // a token lives for less

    assert_eq!(slots(&desk, &clinic, "").await.len(), 16);
    desk.post("/appointments", &other).await.expect(201);
    assert_eq!(clinic.count("select count(*) from claims where hold_id is not null").await, 0);
    assert_eq!(clinic.count("select count(*) from claims").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_yes_in_time_has_it_and_a_no_gives_it_back() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, here) = (clinic.desk().await, handle(&platform, &clinic).await);
    let room = json!({ "kind": "room", "name": "Droni", "location_id": clinic.location });
    let room = clinic.admin().await.post("/resources", &room).await.expect(201).id();
    let until = platform.clock.now() + TimeDelta::minutes(60);
    let mut first = wanted(&clinic, TEN);
    first.resource_ids = Some(vec![room.parse::<uuid::Uuid>().unwrap().into()]);
    let id = held(&here, &first, until).await.unwrap();
    assert_eq!(clinic.count("select count(*) from claims").await, 2, "the doctor and the room");

    let release = async |id| {
        let mut tx = here.begin_locking(Actor::default(), &first.subjects()).await.unwrap();
        let span = first.span(TimeDelta::minutes(30));
        hold::release(&mut tx, id, clinic.doctor.into(), span).await.unwrap();
        tx.commit().await.unwrap();
    };
    release(id).await;
    release(id).await; // it is gone
    assert_eq!(clinic.count("select count(*) from claims").await, 0);
    let mut visit = clinic.visit(TEN);
    visit["resource_ids"] = json!([room]);

    desk.post("/appointments", &visit).await.expect(201);
    let refused = held(&here, &first, until).await;
    assert!(matches!(refused, Err(BookError::SlotTaken)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_time_that_has_run_out_stops_nobody_from_cancelling() {
    let (platform, clinic) = TestClinic::new().await;
    let here = handle(&platform, &clinic).await;
    let desk = clinic.desk().await;
    let until = platform.clock.now() + TimeDelta::minutes(60);
    held(&here, &wanted(&clinic, TEN), until).await.unwrap();
    let mut squeezed = clinic.visit_of(clinic.patients[1], TEN);
    squeezed["overbook"] = json!({ "reason": "an emergency" });
    desk.post("/appointments", &squeezed).await.expect(201);
    let beside = desk.post("/appointments", &clinic.visit(HALF_PAST)).await.expect(201).id();
    sqlx::query("update claims set hold_until = now() - interval '1 s' where hold_id is not null")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();

    desk.delete(&format!("/appointments/{beside}")).await.expect(200);

    let seat =
        "select seat::bigint from claims where subject_id = (select id from doctors limit 1)";
    assert_eq!(clinic.count(seat).await, 0, "who was squeezed in has the seat");
}
