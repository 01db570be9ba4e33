//! Messages: what commits is told, once, to whom it concerns, and not when it no longer holds.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Options, TestClinic, TestPlatform};

const TEN: &str = "2099-01-05T04:30:00Z";
const HALF_PAST: &str = "2099-01-05T05:00:00Z";

/// Waits until the inbox holds as many messages, and gives them, newest first.
async fn inbox(platform: &TestPlatform, count: usize) -> Vec<nadi::messaging::inbox::Item> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut items = platform.inbox.items().await.unwrap();
        items.retain(|item| item.subject.starts_with("Your appointment")); // the founder has been invited, too
        if items.len() >= count {
            return items;
        }
        assert!(Instant::now() < deadline, "only {} of {count} messages came", items.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_a_move_and_a_cancellation_reach_the_patient_in_this_order() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let email_first = json!({ "policies": { "appointment": { "channels": ["email", "whatsapp"], "accept_seconds": 30 } } });
    clinic.admin().await.put("/settings/messaging", "*", &email_first).await.expect(200);

    let booked = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    inbox(&platform, 1).await;
    let path = format!("/appointments/{}", booked.id());
    desk.put(&path, booked.header("etag"), &clinic.visit(HALF_PAST)).await.expect(200);
    inbox(&platform, 2).await;
    desk.delete(&path).await.expect(200);

    let items = inbox(&platform, 3).await;
    let subjects: Vec<&str> = items.iter().map(|item| item.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "Your appointment is cancelled · shanti clinic",
            "Your appointment has moved · shanti clinic",
            "Your appointment is booked · shanti clinic",
        ]
    );
    let booked = &items[2];
    assert_eq!((booked.to.as_str(), booked.channel.as_str()), ("lakshmi@mail.example", "email"));
    assert!(booked.body.starts_with("Dear Lakshmi,"), "{}", booked.body);
    assert!(
        booked.body.contains("Monday, 5 January 2099, 10:00 (Asia/Kolkata)"),
        "{}",
        booked.body
    );
    let open = "select count(*) from outbox where done_at is null";
    let deadline = Instant::now() + Duration::from_secs(5);
    while clinic.count(open).await > 0 {
        assert!(Instant::now() < deadline, "a message was sent and not done");
    }
    assert_eq!(
        clinic.count("select count(*) from outbox_attempts where outcome = 'accepted'").await,
        4, // the founder's invitation, too
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_receive_is_put_aside_with_the_reason() {
    let options = Options { no_inbox: true, ..Options::default() };
    let platform = TestPlatform::with(options).await;
    let clinic = platform.clinic("shanti").await;
    let desk = clinic.desk().await;

    desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);

    let aside = "select count(*) from outbox where status = 'suppressed' and purpose = 'appointment.booked' and last_error like 'there is no way%'";
    let deadline = Instant::now() + Duration::from_secs(10);
    while clinic.count(aside).await == 0 {
        assert!(Instant::now() < deadline, "the message still waits");
    }
}
