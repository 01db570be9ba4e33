//! The appointment book as a calendar: on the screen, and in other calendars.

mod feeds;

use nadi::auth::Role;
use serde_json::json;

use crate::support::TestClinic;

#[tokio::test(flavor = "multi_thread")]
async fn days_weeks_and_months_have_their_visits_counts_and_bounds() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for (patient, at) in [
        (0, "2099-01-05T04:30:00Z"),
        (1, "2099-01-05T05:00:00Z"),
        (1, "2099-01-11T04:30:00Z"),
        (1, "2099-01-12T04:30:00Z"),
        (1, "2099-02-01T04:30:00Z"),
    ] {
        let visit = clinic.visit_of(clinic.patients[patient], at);
        desk.post("/appointments", &visit).await.expect(201);
    }
    let mut squeezed = clinic.visit_of(clinic.another_patient().await, "2099-01-05T04:30:00Z");
    squeezed["overbook"] = json!({ "reason": "in pain" });
    desk.post("/appointments", &squeezed).await.expect(201);
    let gone = clinic.visit_of(clinic.patients[0], "2099-01-05T06:00:00Z");
    let gone = desk.post("/appointments", &gone).await.expect(201).id();
    desk.delete(&format!("/appointments/{gone}")).await.expect(200);

    let show = async |query: &str| {
        desk.get(&format!("/appointments/calendar?{query}")).await.expect(200).body
    };
    let day = show("view=day&date=2099-01-05").await;
    assert_eq!(day["time_zone"], "Asia/Kolkata");
    assert_eq!((&day["from"], &day["to"]), (&json!("2099-01-05"), &json!("2099-01-06")));
    let only = &day["days"][0];
    assert_eq!(only["starts_at"], "2099-01-04T18:30:00Z");
    assert_eq!(only["ends_at"], "2099-01-05T18:30:00Z");
    assert_eq!((&only["is_today"], &only["more"]), (&json!(false), &json!(0)));
    let counts = &only["counts"];
    assert_eq!(
        (&counts["total"], &counts["booked"], &counts["cancelled"], &counts["overbooked"]),
        (&json!(4), &json!(3), &json!(1), &json!(1))
    );
    let starts: Vec<_> =
        only["items"].as_array().unwrap().iter().map(|v| &v["starts_at"]).collect();
    assert!(starts.is_sorted_by_key(|at| at.as_str().unwrap()), "{starts:?}");
    assert_eq!(only["items"][0]["patient_name"], "Lakshmi Menon");

    let week = show("view=week&date=2099-01-11").await; // a Sunday
    assert_eq!((&week["from"], &week["to"]), (&json!("2099-01-05"), &json!("2099-01-12")));
    assert_eq!(week["days"].as_array().unwrap().len(), 7);
    assert_eq!(week["counts"]["total"], 5);

    let month = show(&format!("view=month&date=2099-01-20&doctor_id={}", clinic.doctor)).await;
    assert_eq!(month["days"].as_array().unwrap().len(), 31);
    assert_eq!(month["counts"]["total"], 6);
    let here = format!("view=month&date=2099-01-20&location_id={}", clinic.location);
    assert_eq!(show(&here).await["counts"]["total"], 6);
    let nobody = format!("view=month&date=2099-01-20&doctor_id={}", nadi::ids::new_uuid());
    assert_eq!(show(&nobody).await["counts"]["total"], 0);
    sqlx::query(
        "insert into holidays (id, location_id, first_day, last_day, name)
         values (gen_random_uuid(), null, '2099-01-06', '2099-01-07', 'Vishu'),
                (gen_random_uuid(), $1, '2099-01-07', '2099-01-07', 'Painting')",
    )
    .bind(clinic.location)
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    let week = show("view=week&date=2099-01-05").await;
    let names = |day: usize| week["days"][day]["holidays"].as_array().unwrap().clone();
    assert_eq!((names(0).len(), names(1).len(), names(3).len()), (0, 1, 0));
    assert_eq!(names(2)[0], json!({ "name": "Painting", "location_id": clinic.location }));
    assert_eq!(names(2)[1], json!({ "name": "Vishu", "location_id": null }));
    let today = show("view=day").await;
    assert_eq!(today["days"][0]["is_today"], true);

    let faults = desk.get("/appointments/calendar?view=year&day=1").await.expect(422).faults();
    let expected = [("view", "unknown_value"), ("day", "unknown_field")];
    assert_eq!(faults, expected.map(|(name, code)| (name.to_owned(), code.to_owned())));
    let elsewhere = format!("/appointments/calendar?view=day&location_id={}", clinic.doctor);
    desk.get(&elsewhere).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_has_room_for_few_and_says_how_many_more_there_are() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for half_hour in 0..9 {
        let (hour, minute) = (4 + half_hour / 2, half_hour % 2 * 30);
        let at = format!("2099-01-05T{hour:02}:{minute:02}:00Z");
        let visit = clinic.visit_of(clinic.another_patient().await, &at);
        desk.post("/appointments", &visit).await.expect(201);
    }

    let month = desk.get("/appointments/calendar?view=month&date=2099-01-01").await.expect(200);

    let day = &month.body["days"][4];
    assert_eq!(day["items"].as_array().unwrap().len(), 6);
    assert_eq!((&day["counts"]["total"], &day["more"]), (&json!(9), &json!(3)));
    assert_eq!(day["items"][0]["starts_at"], "2099-01-05T04:00:00Z", "the first of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_and_therapists_see_their_own_days_alone() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let own = desk.post("/appointments", &clinic.visit("2099-01-05T04:30:00Z")).await.expect(201);
    let other = clinic.visit_of(clinic.patients[1], "2099-01-05T05:00:00Z");
    let other = desk.post("/appointments", &other).await.expect(201).id();
    sqlx::query(
        "insert into claims (appointment_id, subject_id, during) select id, $2, during from appointments where id = $1",
    )
    .bind(other.parse::<uuid::Uuid>().unwrap())
    .bind(clinic.account(Role::Therapist))
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();

    for (role, id) in [(Role::Patient, own.id()), (Role::Therapist, other)] {
        let caller = clinic.caller(role).await;
        let week = caller.get("/appointments/calendar?view=week&date=2099-01-05").await.expect(200);
        assert_eq!(week.body["counts"]["total"], 1, "{role:?}");
        assert_eq!(week.body["days"][0]["items"][0]["id"], id, "{role:?}");
    }
}
