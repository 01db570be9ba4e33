//! Answers to an offer by the link that came with it.

use super::*;

/// Offers ten o'clock to the first patient, and gives the entry's path with the token of the link.
async fn offered(platform: &TestPlatform, clinic: &TestClinic, desk: &Caller) -> (String, String) {
    let email =
        json!({ "policies": { "appointment": { "channels": ["email"], "accept_seconds": 30 } } });
    clinic.admin().await.put("/settings/messaging", "*", &email).await.expect(200);
    let visit = taken(clinic, desk, TEN).await;
    let path = waits(clinic, desk, clinic.patients[0], json!({})).await;
    desk.delete(&visit).await.expect(200);
    let found = async || {
        let items = platform.inbox.items().await.unwrap();
        let item = items.into_iter().find(|item| item.subject.contains("has come free"))?;
        let (_, rest) = item.body.split_once("/respond/")?;
        Some(rest.split_whitespace().next()?.to_owned())
    };
    until("she is told", async || found().await.is_some()).await;
    (path, found().await.unwrap())
}

async fn post(anybody: &Caller, token: &str, action: &str) -> Answer {
    anybody.post(&format!("/respond/{token}"), &json!({ "action": action })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_the_time_and_a_button_there_takes_it() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, anybody) = (clinic.desk().await, clinic.anybody());
    let (path, token) = offered(&platform, &clinic, &desk).await;

    for _ in 0..2 {
        let shown = anybody.get(&format!("/respond/{token}")).await.expect(200);
        assert_eq!(shown.body["status"], "open");
        assert_eq!(shown.body["actions"], json!(["accept", "decline"]));
        assert_eq!(shown.body["starts_at"], TEN);
        assert!(shown.body["until"].is_string() && !shown.text.contains("Lakshmi"));
        let page = anybody.raw(reqwest::Method::GET, &format!("/respond/{token}"));
        let page = anybody.send(page).await.expect(200);
        assert!(
            page.text.contains("I take this time") && page.text.contains("Kept until"),
            "{}",
            page.text
        );
    }
    assert_eq!(status(&desk, &path).await, "offered", "looking changes nothing");
    let wrong = post(&anybody, &token, "confirm").await.expect(409);
    assert_eq!(wrong.problem(), "illegal-transition");

    let form = anybody
        .raw(reqwest::Method::POST, &format!("/respond/{token}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("action=accept");
    let page = anybody.send(form).await.expect(200);
    assert!(page.text.contains("it is booked for you"), "{}", page.text);
    let again = post(&anybody, &token, "accept").await.expect(200);
    assert_eq!((&again.body["status"], &again.body["actions"]), (&json!("accepted"), &json!([])));
    assert_eq!(post(&anybody, &token, "decline").await.expect(410).problem(), "offer-over");
    let booked = "select count(*) from appointments where status = 'booked'";
    assert_eq!((clinic.count(booked).await, status(&desk, &path).await), (1, "booked".to_owned()));
    let by =
        "select count(*) from audit_log where action = 'waitlist.accepted' and role = 'patient'";
    assert_eq!(clinic.count(by).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_what_is_not_kept_any_more_does_nothing() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, anybody) = (clinic.desk().await, clinic.anybody());
    let (path, token) = offered(&platform, &clinic, &desk).await;
    run(&clinic, "update patients set language = 'ml'").await;
    let page = anybody.raw(reqwest::Method::GET, &format!("/respond/{token}"));
    let page = anybody.send(page).await.expect(200);
    for words in ["<html lang=\"ml\">", "ഈ സമയം എനിക്ക് വേണം", "2099 ജനുവരി 5"]
    {
        assert!(page.text.contains(words), "in the reader's language: {}", page.text);
    }
    let other = platform.clinic("arogya").await;
    assert_eq!(post(&other.anybody(), &token, "accept").await.expect(404).problem(), "not-found");

    let_offers_lapse(&platform, &clinic).await;

    for answer in [
        anybody.get(&format!("/respond/{token}")).await,
        post(&anybody, &token, "accept").await,
        post(&anybody, &token, "decline").await,
    ] {
        assert_eq!(answer.expect(410).problem(), "offer-over");
    }
    assert_eq!(status(&desk, &path).await, "waiting");
    assert_eq!(clinic.count("select count(*) from appointments where status = 'booked'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_visit_by_then_is_told_and_the_time_stays_kept() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, anybody) = (clinic.desk().await, clinic.anybody());
    let (path, token) = offered(&platform, &clinic, &desk).await;
    let mut beside = clinic.visit(TEN);
    beside["doctor_id"] = json!(another_doctor(&clinic).await);
    let beside = desk.post("/appointments", &beside).await.expect(201).id();

    for _ in 0..2 {
        assert_eq!(post(&anybody, &token, "accept").await.expect(409).problem(), "slot-taken");
        assert_eq!(accept(&desk, &path).await.expect(409).problem(), "slot-taken");
    }
    assert_eq!(status(&desk, &path).await, "offered");
    assert_eq!(clinic.count("select count(*) from claims where hold_id is not null").await, 1);
    let written = "select count(*) from appointments where status = 'booked'";
    assert_eq!(clinic.count(written).await, 1, "the other one alone");

    desk.delete(&format!("/appointments/{beside}")).await.expect(200);
    post(&anybody, &token, "accept").await.expect(200);
    assert_eq!(status(&desk, &path).await, "booked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_time_is_kept_whoever_is_squeezed_in_beside_it() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, anybody) = (clinic.desk().await, clinic.anybody());
    let (path, token) = offered(&platform, &clinic, &desk).await;
    let mut squeezed = clinic.visit_of(clinic.patients[1], TEN);
    squeezed["overbook"] = json!({ "reason": "an emergency" });
    desk.post("/appointments", &squeezed).await.expect(201);

    post(&anybody, &token, "accept").await.expect(200);

    let booked = desk.get(&path).await.expect(200).body["appointment_id"].clone();
    let visit = desk.get(&format!("/appointments/{}", booked.as_str().unwrap())).await.expect(200);
    assert_eq!((&visit.body["overbooked"], &visit.body["starts_at"]), (&json!(false), &json!(TEN)));
    let moved = clinic.visit("2099-01-08T04:30:00Z");
    desk.put(&format!("/appointments/{}", visit.id()), "*", &moved).await.expect(200);
    let outdated = anybody.get(&format!("/respond/{token}")).await.expect(410);
    assert_eq!(outdated.problem(), "link-outdated", "it is at another time by now");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_booked_any_more_is_not_kept_either() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, anybody) = (clinic.desk().await, clinic.anybody());
    let (path, token) = offered(&platform, &clinic, &desk).await;
    run(
        &clinic,
        "insert into time_off (id, doctor_id, during)
                  select gen_random_uuid(), id, '[2099-01-05, 2099-01-06)' from doctors",
    )
    .await;

    assert_eq!(post(&anybody, &token, "accept").await.expect(410).problem(), "offer-over");

    assert_eq!(clinic.count("select count(*) from claims").await, 0);
    assert_eq!(status(&desk, &path).await, "waiting");
    let again = anybody.get(&format!("/respond/{token}")).await.expect(410);
    assert_eq!(again.problem(), "offer-over");
}
