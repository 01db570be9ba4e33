//! The steps of a visit: who takes them, in which order, what is kept of them, and what two at once do to each other.

use nadi::auth::Role::{self, *};
use reqwest::Method;
use serde_json::{Value, json};

use super::{HALF_PAST, TEN};
use crate::support::{Answer, Caller, TestClinic};

/// Every step by its path, and what the visit becomes.
const STEPS: [(&str, &str); 5] = [
    ("confirm", "confirmed"),
    ("check-in", "checked_in"),
    ("start", "in_consultation"),
    ("complete", "completed"),
    ("no-show", "no_show"),
];

/// What lies behind each state, by the steps that lead there.
const STATES: [(&str, &[&str]); 7] = [
    ("booked", &[]),
    ("confirmed", &["confirm"]),
    ("checked_in", &["check-in"]),
    ("in_consultation", &["check-in", "start"]),
    ("completed", &["check-in", "start", "complete"]),
    ("cancelled", &["cancel"]),
    ("no_show", &["no-show"]),
];

pub(super) async fn step(caller: &Caller, visit: &str, step: &str) -> Answer {
    match step {
        "cancel" => caller.delete(&format!("/appointments/{visit}")).await,
        _ => {
            let path = format!("/appointments/{visit}/{step}");
            caller.send(caller.request(Method::POST, &path)).await
        }
    }
}

async fn book(desk: &Caller, clinic: &TestClinic, n: usize) -> String {
    let date = chrono::NaiveDate::from_ymd_opt(2099, 1, 5).unwrap() + chrono::Days::new(n as u64);
    let visit = clinic.visit(&format!("{date}T04:30:00Z"));
    desk.post("/appointments", &visit).await.expect(201).id()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_from_every_state_is_taken_or_refused_with_both_names() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let allowed = [
        ("booked", "confirmed"),
        ("booked", "checked_in"),
        ("booked", "no_show"),
        ("confirmed", "checked_in"),
        ("confirmed", "no_show"),
        ("checked_in", "in_consultation"),
        ("checked_in", "no_show"),
        ("in_consultation", "completed"),
    ];
    let mut day = 0;
    for (from, way) in STATES {
        for (path, to) in STEPS {
            let visit = book(&admin, &clinic, day).await;
            day += 1;
            for before in way {
                step(&admin, &visit, before).await.expect(200);
            }

            let answer = step(&admin, &visit, path).await;

            if allowed.contains(&(from, to)) {
                assert_eq!(answer.expect(200).body["status"], to, "{from} {to}");
                continue;
            }
            let answer = answer.expect(409);
            assert_eq!(answer.problem(), "illegal-transition");
            assert_eq!((&answer.body["from"], &answer.body["to"]), (&json!(from), &json!(to)));
            let stands = admin.get(&format!("/appointments/{visit}")).await;
            assert_eq!(stands.body["status"], from, "a refusal changes nothing");
        }
    }
    let free = "select count(*) from appointments a where a.status in ('cancelled', 'no_show')
                and exists (select from claims c where c.appointment_id = a.id)";
    assert_eq!(clinic.count(free).await, 0, "who did not come takes nobody's time");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_takes_its_own_steps() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let desk: &[Role] = &[ClinicAdmin, Doctor, Receptionist];
    let mut day = 0;
    for role in [ClinicAdmin, Doctor, Receptionist, Therapist, Pharmacist, Accountant, Patient] {
        let caller = clinic.caller(role).await;
        for (path, may) in [
            ("confirm", [desk, &[Patient]].concat()),
            ("check-in", desk.to_vec()),
            ("start", vec![ClinicAdmin, Doctor]),
            ("complete", vec![ClinicAdmin, Doctor]),
            ("no-show", desk.to_vec()),
        ] {
            let visit = book(&admin, &clinic, day).await;
            day += 1;
            let way: &[&str] = match path {
                "start" => &["check-in"],
                "complete" => &["check-in", "start"],
                _ => &[],
            };
            for before in way {
                step(&admin, &visit, before).await.expect(200);
            }

            let answer = step(&caller, &visit, path).await;

            let expected = if may.contains(&role) { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{role:?} {path}: {}", answer.text);
        }
    }
    let others = clinic.visit_of(clinic.patients[1], "2098-01-06T04:30:00Z");
    let others = admin.post("/appointments", &others).await.expect(201).id();
    step(&clinic.patient().await, &others, "confirm").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_sees_his_own_patients_alone() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, doctor) = (clinic.admin().await, clinic.caller(Doctor).await);
    let visit = book(&admin, &clinic, 0).await;
    step(&admin, &visit, "check-in").await.expect(200);
    let second = json!({ "full_name": "Dr. Second", "email": "second@shanti.example" });
    let second = admin.post("/doctors", &second).await.expect(201).id();
    sqlx::query("update appointments set doctor_id = $1::uuid")
        .bind(&second)
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();

    for path in ["start", "complete"] {
        assert_eq!(step(&doctor, &visit, path).await.expect(403).problem(), "forbidden");
    }
    step(&admin, &visit, "start").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_keeps_the_time_of_each_step_and_its_past() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let booked = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let path = format!("/appointments/{}", booked.id());
    assert_eq!(booked.body["checked_in_at"], Value::Null);
    desk.put(&path, "*", &clinic.visit(HALF_PAST)).await.expect(200);
    let mut told = clinic.visit(HALF_PAST);
    told["reason"] = json!("a cough");
    desk.put(&path, "*", &told).await.expect(200);
    for taken in ["confirm", "check-in"] {
        step(&desk, &booked.id(), taken).await.expect(200);
    }
    for taken in ["start", "complete"] {
        step(&admin, &booked.id(), taken).await.expect(200);
    }

    let done = desk.get(&path).await.expect(200);
    let at = |name: &str| done.body[name].as_str().unwrap().to_owned();
    assert!(at("checked_in_at") <= at("started_at") && at("started_at") <= at("completed_at"));
    let past = desk.get(&format!("{path}/history")).await.expect(200);
    let items = past.body["items"].as_array().unwrap();
    let what: Vec<&str> = items.iter().map(|item| item["what"].as_str().unwrap()).collect();
    assert_eq!(
        what,
        ["booked", "moved", "described", "confirmed", "checked_in", "started", "completed"]
    );
    assert_eq!(items[0]["after"]["starts_at"], TEN);
    assert_eq!(
        (&items[1]["before"]["starts_at"], &items[1]["after"]["starts_at"]),
        (&json!(TEN), &json!(HALF_PAST))
    );
    assert_eq!(items[2]["after"], json!({ "reason": "a cough" }));
    assert_eq!(items[3]["before"], json!({ "status": "booked" }));
    assert_eq!(items[3]["full_name"], "receptionist of shanti");
    let to_patient = clinic.patient().await.get(&format!("{path}/history")).await.expect(200);
    assert_eq!(to_patient.body["items"][3]["full_name"], Value::Null);
    assert_eq!(to_patient.body["items"][3]["role"], "receptionist");
    let written = "select count(*) from audit_log where action in
      ('appointment.confirmed', 'appointment.checked_in', 'appointment.started', 'appointment.completed')";
    assert_eq!(clinic.count(written).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_honours_the_version_and_the_key_of_its_request() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let booked = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let path = format!("/appointments/{}/confirm", booked.id());
    let with = |etag: &str, key: &str| {
        let request = desk.request(Method::POST, &path);
        request.header("if-match", etag).header("idempotency-key", key)
    };

    assert_eq!(desk.send(with("\"7\"", "a")).await.expect(412).problem(), "precondition-failed");
    let first = desk.send(with(booked.header("etag"), "b")).await.expect(200);
    let again = desk.send(with(booked.header("etag"), "b")).await.expect(200);

    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!((again.body, again.headers.get("etag")), (first.body, first.headers.get("etag")));
    desk.send(with(first.headers["etag"].to_str().unwrap(), "c")).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_steps_at_once_one_is_taken() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for (n, (one, other)) in
        [("check-in", "check-in"), ("check-in", "no-show"), ("cancel", "cancel")].iter().enumerate()
    {
        let visit = book(&desk, &clinic, n).await;

        let (a, b) = tokio::join!(step(&desk, &visit, one), step(&desk, &visit, other));

        // Who is here may be sent away after all, but nobody comes twice.
        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort();
        if (*one, *other) == ("check-in", "no-show") && statuses == [200, 200] {
            let stands = desk.get(&format!("/appointments/{visit}")).await;
            assert_eq!(stands.body["status"], "no_show");
            continue;
        }
        assert_eq!(statuses, [200, 409], "{one} {other}: {} {}", a.text, b.text);
    }
    let lines = "select count(*) from appointment_changes where what <> 'booked'
                 group by appointment_id order by 1 desc limit 1";
    assert!(clinic.count(lines).await <= 2, "a refusal writes no line");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_while_it_is_checked_in_a_visit_ends_in_one_state_with_its_claims() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for n in 0..10 {
        let visit = book(&desk, &clinic, n).await;

        let (cancelled, here) =
            tokio::join!(step(&desk, &visit, "cancel"), step(&desk, &visit, "check-in"));

        // Checked in first, it may be cancelled after; cancelled first, nobody checks in.
        assert_eq!(cancelled.status, 200, "{}", cancelled.text);
        assert!([200, 409].contains(&here.status.as_u16()), "{}", here.text);
    }
    assert_eq!(clinic.count("select count(*) from claims").await, 0);
}
