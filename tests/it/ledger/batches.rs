//! Many rows recorded in one statement end as they would one by one, whatever has become of some of them meanwhile.

use chrono::Utc;
use nadi::outbox::{self, Delivery, End, Ended, Finished, Handed, NewMessage, OutboxRow, Start};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::databases::Databases;
use super::{GRACE, MINUTE, execute, message};

/// So many messages, each about something else, claimed by one sender.
async fn claimed(clinic: &mut PgConnection, count: usize) -> Vec<OutboxRow> {
    for n in 0..count {
        let new = NewMessage {
            subject_id: Uuid::from_u128(n as u128),
            ..message(&n.to_string(), Utc::now())
        };
        outbox::put(&mut *clinic, &new).await.unwrap().unwrap();
    }
    let mut rows = outbox::claim(clinic, count as i64, MINUTE).await.unwrap().rows;
    rows.sort_by_key(|row| row.subject_id);
    rows
}

fn start(row: &OutboxRow) -> Start {
    let (id, lease_token, before) = (row.id, row.lease_token, Delivery::Expired.into());
    Start { id, lease_token, channel: "sms", provider: "log", before }
}

async fn start_all(clinic: &mut PgConnection, rows: &[OutboxRow]) -> Vec<Option<i32>> {
    let starts: Vec<Start> = rows.iter().map(start).collect();
    outbox::start_all(clinic, &starts).await.unwrap()
}

fn sent(n: i32) -> Handed {
    let ended =
        Ended { n, outcome: "accepted", provider_id: Some(format!("p{n}")), ..Ended::default() };
    let accepted = vec!["sms".to_owned()];
    Handed { ended: vec![ended], accepted, ..Delivery::Sent { channel: "sms".into() }.into() }
}

async fn attempts(clinic: &mut PgConnection, row: &OutboxRow) -> Vec<(i32, Option<String>)> {
    sqlx::query_as("select n, outcome from outbox_attempts where outbox_id = $1 order by n")
        .bind(row.id)
        .fetch_all(clinic)
        .await
        .unwrap()
}

#[tokio::test]
async fn only_what_is_wanted_and_ours_is_put_on_record() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    let mut rows = claimed(&mut clinic, 5).await;
    outbox::withdraw(&mut clinic, rows[1].subject_id).await.unwrap();
    execute(
        &mut clinic,
        &format!(
            "update outbox set expires_at = due_at + interval '1 us' where id = '{}'",
            rows[2].id
        ),
    )
    .await;
    execute(
        &mut clinic,
        &format!("update outbox set leased_until = now() where id = '{}'", rows[3].id),
    )
    .await;
    // Whoever has it now is in the same batch as whoever was late.
    let owner = outbox::claim_one(&mut clinic, rows[3].id, MINUTE).await.unwrap().rows.remove(0);
    rows.push(owner);

    let begun = start_all(&mut clinic, &rows).await;

    assert_eq!(begun, [Some(1), None, None, None, Some(1), Some(1)]);
    for (row, begun) in rows.iter().zip(begun).filter(|(row, _)| row.id != rows[3].id) {
        assert_eq!(attempts(&mut clinic, row).await.len(), usize::from(begun.is_some()));
    }
    assert_eq!(start_all(&mut clinic, &rows).await, [Some(2), None, None, None, Some(2), Some(2)]);
}

#[tokio::test]
async fn outcomes_are_recorded_each_with_its_row() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    let rows = claimed(&mut clinic, 5).await;
    assert_eq!(start_all(&mut clinic, &rows).await, [Some(1); 5]);
    outbox::withdraw(&mut clinic, rows[1].subject_id).await.unwrap();
    let retry = |delay| Delivery::RetryIn { delay, error: "busy".into() };
    let handed = [
        sent(1),
        sent(1),
        retry(GRACE).into(),
        Delivery::Failed { error: "no such number".into() }.into(),
        retry(48 * 60 * MINUTE).into(),
    ];
    let ends: Vec<End> =
        rows.iter().zip(&handed).map(|(row, handed)| End::of(row, handed)).collect();

    let finished = outbox::finish_all(&mut clinic, &ends).await.unwrap();

    use Finished::{Done, NotOurs, WaitsAgain};
    assert_eq!(finished, [Some(Done), None, Some(WaitsAgain), Some(Done), Some(Done)]);
    assert_eq!(outbox::finish(&mut clinic, &ends[1]).await.unwrap(), NotOurs);
    let states: Vec<(String, Option<String>)> =
        sqlx::query_as("select status, last_error from outbox order by subject_id")
            .fetch_all(&mut clinic)
            .await
            .unwrap();
    let of = |status: &str, error: Option<&str>| (status.to_owned(), error.map(str::to_owned));
    let expected = [
        of("sent", None),
        of("suppressed", None),
        of("queued", Some("busy")),
        of("failed", Some("no such number")),
        of("expired", Some("busy")),
    ];
    assert_eq!(states, expected);
    // A call that was made has ended, whoever owns the row by now.
    for row in &rows[..2] {
        assert_eq!(attempts(&mut clinic, row).await, [(1, Some("accepted".to_owned()))]);
    }
    assert_eq!(outbox::finish_all(&mut clinic, &ends).await.unwrap(), [None; 5]);
}

#[tokio::test]
async fn who_is_being_withdrawn_keeps_no_other_waiting_and_is_not_called() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    let rows = claimed(&mut clinic, 3).await;
    let mut other = databases.clinic().await;
    let mut cancelling = other.begin().await.unwrap();
    outbox::withdraw(&mut *cancelling, rows[1].subject_id).await.unwrap();

    assert_eq!(start_all(&mut clinic, &rows).await, [Some(1), None, Some(1)]);
    let alone = start(&rows[1]);
    let alone = outbox::start(&mut clinic, &alone);
    tokio::pin!(alone);
    assert!(tokio::time::timeout(GRACE / 10, &mut alone).await.is_err());
    cancelling.commit().await.unwrap();

    assert_eq!(alone.await.unwrap(), None);
    assert!(attempts(&mut other, &rows[1]).await.is_empty());
}

#[tokio::test]
async fn one_that_the_database_refuses_spoils_no_other() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    let rows = claimed(&mut clinic, 2).await;
    start_all(&mut clinic, &rows).await;
    let unspeakable = Delivery::Failed { error: "a nought: \0".into() };
    let ends = [End::of(&rows[0], &unspeakable.into()), End::of(&rows[1], &sent(1))];

    assert!(outbox::finish_all(&mut clinic, &ends).await.is_err());

    assert!(outbox::finish(&mut clinic, &ends[0]).await.is_err());
    assert_eq!(outbox::finish(&mut clinic, &ends[1]).await.unwrap(), Finished::Done);
}
