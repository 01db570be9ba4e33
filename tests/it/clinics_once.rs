//! A clinic is made once for each `Idempotency-Key`, however often, wherever and however closely the request is sent.

use serde_json::{Value, json};

use crate::support::{Answer, TestPlatform};

fn new_clinic(slug: &str) -> Value {
    json!({
        "slug": slug, "name": "Shanti Ayurveda", "time_zone": "Asia/Kolkata",
        "admin": { "full_name": "Asha Nair", "email": "asha@shanti.example", "phone": "098470 12345" },
    })
}

/// One answer is the first; each other is the same again, or says that the first is still on its way.
fn assert_made_once(answers: &[Answer]) {
    let replayed = |answer: &&Answer| answer.header("idempotent-replayed") == "true";
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    let first: Vec<_> = made.iter().filter(|answer| !replayed(answer)).collect();
    assert_eq!(first.len(), 1, "{answers:#?}");
    assert!(made.iter().all(|answer| answer.body == first[0].body), "{made:#?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((answer.status.as_u16(), answer.problem()), (409, "idempotency-in-progress"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_sent_twice_at_once_makes_one_clinic() {
    let platform = TestPlatform::new().await;
    let desk = platform.super_admin().await;
    let new = new_clinic("shanti");

    let (a, b, c) = tokio::join!(
        desk.post_with_key("/clinics", &new, "key-of-shanti"),
        desk.post_with_key("/clinics", &new, "key-of-shanti"),
        desk.post_with_key("/clinics", &new, "key-of-shanti"),
    );

    assert_made_once(&[a, b, c]);
    let again = desk.post_with_key("/clinics", &new, "key-of-shanti").await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_sent_to_two_instances_at_once_makes_one_clinic() {
    let platform = TestPlatform::new().await;
    let second = platform.another_instance().await;
    let here = platform.super_admin().await;
    let there = here.at(&second.address, &here.host);

    for n in 0..3 {
        let (slug, key) = (format!("shanti-{n}"), format!("key-{n}"));
        let new = new_clinic(&slug);
        let (a, b) = tokio::join!(
            here.post_with_key("/clinics", &new, &key),
            there.post_with_key("/clinics", &new, &key),
        );
        assert_made_once(&[a, b]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_kept_in_the_transaction_that_opens_the_clinic() {
    let platform = TestPlatform::new().await;
    let desk = platform.super_admin().await;
    let mut central = platform.server.superuser(&platform.database).await;
    // As if the process died between the two: the answer cannot be kept.
    sqlx::raw_sql("alter table idempotency_keys add constraint broken check (false) not valid")
        .execute(&mut central)
        .await
        .unwrap();

    desk.post_with_key("/clinics", &new_clinic("shanti"), "key").await.expect(500);

    desk.get("/clinics/shanti").await.expect(404);
    sqlx::raw_sql("alter table idempotency_keys drop constraint broken")
        .execute(&mut central)
        .await
        .unwrap();
    desk.post_with_key("/clinics", &new_clinic("shanti"), "key").await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_for_whoever_has_another_key_or_none() {
    let platform = TestPlatform::new().await;
    let desk = platform.super_admin().await;
    let new = new_clinic("shanti");

    let (a, b) = tokio::join!(
        desk.post_with_key("/clinics", &new, "one"),
        desk.post_with_key("/clinics", &new, "another"),
    );
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let loser = if a.status == 409 { a } else { b };
    assert_eq!(loser.problem(), "slug-taken");
    assert_eq!(desk.post("/clinics", &new).await.expect(409).problem(), "slug-taken");
}
