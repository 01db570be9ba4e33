//! A clinic that was out of reach, or closed for a while: its messages go out when it is back, not minutes later.

use std::time::Duration;

use nadi::audit::Actor;
use nadi::platform::model::ClinicStatus;
use nadi::platform::set_status;
use nadi::tenancy::roles;
use tokio::time::Instant;

use super::Scene;
use crate::support::{Caller, Process, SmtpServer, until};

/// The ledger puts a clinic that fails often off for this long at least. Whatever takes much less was not left to it.
const PUT_OFF: f64 = 120.0;
/// Grace, poll, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(20);

/// The clinic's own role may log in, or not; who is in is thrown out.
async fn let_in(scene: &Scene, may: bool) {
    let role = roles::database_name(scene.clinic.id);
    let word = if may { "login" } else { "nologin" };
    let sql = format!(
        "alter role {role} {word};
         select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = '{role}'"
    );
    roles::execute(&mut scene.platform.server.superuser("postgres").await, sql).await.unwrap();
}

/// A message that is due, put by hand: nobody has hinted.
async fn put(scene: &Scene, key: &str, expires_in: &str) {
    sqlx::query(
        "insert into outbox (id, purpose, dedupe_key, subject_id, patient_id, due_at, expires_at)
         select gen_random_uuid(), purpose, $1, subject_id, patient_id, now() - interval '1 s', now() + $2::interval
         from outbox where status = 'sent' limit 1",
    )
    .bind(key)
    .bind(expires_in)
    .execute(&mut scene.clinic.connection().await)
    .await
    .unwrap();
}

async fn central<T>(scene: &Scene, sql: &'static str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    sqlx::query_scalar(sql).fetch_one(&mut scene.central().await).await.unwrap()
}

async fn change(scene: &Scene, sql: &'static str) {
    sqlx::query(sql).execute(&mut scene.central().await).await.unwrap();
}

/// A clinic at work: one message has gone out, and the ledger is at rest.
async fn at_work() -> (Scene, Process, Caller) {
    let mut scene = Scene::new(SmtpServer::up()).await;
    let process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    scene.book(&desk, 0).await;
    scene.until_all_done().await;
    until("the ledger is at rest", async || {
        central(&scene, "select due_at = 'infinity' and lease_token is null from wakeups").await
    })
    .await;
    (scene, process, desk)
}

async fn become_status(scene: &Scene, status: ClinicStatus) {
    let core = &scene.platform.core;
    let slug = &scene.clinic.slug;
    set_status(scene.platform.realm(), &core.notices, slug, status, Actor::platform())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_that_answers_again_is_looked_at_at_once() {
    let (scene, _process, desk) = at_work().await;
    put(&scene, "waits", "1 day").await;
    let_in(&scene, false).await;
    change(&scene, "update wakeups set failures = 9, due_at = now()").await;
    until("the clinic is put off for minutes", async || {
        central(&scene, "select failures = 10 and due_at > now() + interval '125 s' from wakeups")
            .await
    })
    .await;

    let_in(&scene, true).await;
    let back = Instant::now();
    until("a request is answered", async || desk.get("/patients").await.status == 200).await;
    scene.until_all_done().await;

    assert!(back.elapsed() < SOON && SOON.as_secs_f64() < PUT_OFF, "{:?}", back.elapsed());
    assert_eq!(scene.mail.accepted().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_clinic_is_left_alone_and_goes_on_when_it_is_resumed() {
    let (scene, _process, _desk) = at_work().await;
    let other = scene.platform.clinic("arogya").await;
    become_status(&scene, ClinicStatus::Suspended).await;
    put(&scene, "waits", "1 day").await;
    put(&scene, "passes", "1 ms").await;
    change(&scene, "update wakeups set due_at = now() - interval '1 h'").await;

    // Whoever is due longest comes first, so a worker that looks at the other one has passed this one over.
    until("the other clinic is looked at, and sends", async || {
        other.count("select count(*) from outbox where done_at is null").await == 0
            && central(&scene, "select bool_or(due_at = 'infinity') from wakeups").await
    })
    .await;
    let left_alone = "select failures = 0 and wakeups.leased_until = '-infinity' and due_at < now() and due_at > now() - interval '2 h'
                      from wakeups join clinics on clinics.id = clinic_id where slug = 'shanti'";
    assert!(central::<bool>(&scene, left_alone).await, "nobody tried, and the wake-up stands");
    assert_eq!(scene.statuses().await, [("queued".to_owned(), 2), ("sent".to_owned(), 1)]);

    become_status(&scene, ClinicStatus::Active).await;
    scene.until_all_done().await;

    assert_eq!(scene.statuses().await, [("expired".to_owned(), 1), ("sent".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_that_was_put_off_is_looked_at_as_soon_as_it_is_resumed() {
    let (scene, process, _desk) = at_work().await;
    become_status(&scene, ClinicStatus::Suspended).await;
    put(&scene, "waits", "1 day").await;
    // A look was under way when it was suspended, and could not go on.
    change(&scene, "update wakeups set failures = 10, due_at = now() + interval '5 min'").await;

    become_status(&scene, ClinicStatus::Active).await;
    let back = Instant::now();
    scene.until_all_done().await;

    assert!(back.elapsed() < SOON, "{:?}", back.elapsed());
    assert_eq!(process.metric("nadi_ledger_missed_total").await, Some(0.0));
}
