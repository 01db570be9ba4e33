//! Many rows recorded in one statement end as they would one by one, whatever has become of some of them meanwhile.

use chrono::Utc;
use nadi::outbox::{self, Delivery, End, Ended, Finished, Handed, NewMessage, OutboxRow, Start};
use nadi::tenancy::pools::Pool;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::databases::Databases;
use super::working::pool;
use super::{GRACE, MINUTE, execute, message};

/// So many messages, each about something else, claimed by one sender.
async fn claimed(clinic: &mut PgConnection, count: usize) -> Vec<OutboxRow> {
    for n in 0..count {
        let new = NewMessage { subject_id: Uuid::from_u128(n as u128), ..message(&n.to_string(), Utc::now()) };
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

async fn start_all(pool: &Pool, rows: &[OutboxRow]) -> Vec<Option<i32>> {
    let starts: Vec<Start> = rows.iter().map(start).collect();
    let mut conn = pool.acquire().await.unwrap();
    let begun = outbox::start_all(&mut conn, &starts).await;
    begun.into_iter().map(Result::unwrap).collect()
}

async fn finish_all(pool: &Pool, ends: &[End]) -> Vec<Finished> {
    let mut conn = pool.acquire().await.unwrap();
    let all = outbox::finish_all(&mut conn, ends).await;
    all.into_iter().map(Result::unwrap).collect()
}

fn sent(n: i32) -> Handed {
    let ended = Ended { n, outcome: "accepted", provider_id: Some(format!("p{n}")), ..Ended::default() };
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
    let (mut clinic, pool) = (databases.clinic().await, pool(&databases.clinic));
    let mut rows = claimed(&mut clinic, 5).await;
    outbox::withdraw(&mut clinic, rows[1].subject_id).await.unwrap();
    execute(&mut clinic, &format!("update outbox set expires_at = due_at + interval '1 us' where id = '{}'", rows[2].id)).await;
    execute(&mut clinic, &format!("update outbox set leased_until = now() where id = '{}'", rows[3].id)).await;
    // Whoever has it now is in the same batch as whoever was late.
    let owner = outbox::claim_one(&mut clinic, rows[3].id, MINUTE).await.unwrap().rows.remove(0);
    rows.push(owner);

    let begun = start_all(&pool, &rows).await;

    assert_eq!(begun, [Some(1), None, None, None, Some(1), Some(1)]);
    for (row, begun) in rows.iter().zip(begun).filter(|(row, _)| row.id != rows[3].id) {
        assert_eq!(attempts(&mut clinic, row).await.len(), usize::from(begun.is_some()));
    }
    assert_eq!(start_all(&pool, &rows).await, [Some(2), None, None, None, Some(2), Some(2)]);
}

#[tokio::test]
async fn outcomes_are_recorded_each_with_its_row() {
    let databases = Databases::new().await;
    let (mut clinic, pool) = (databases.clinic().await, pool(&databases.clinic));
    let rows = claimed(&mut clinic, 5).await;
    assert_eq!(start_all(&pool, &rows).await, [Some(1); 5]);
    outbox::withdraw(&mut clinic, rows[1].subject_id).await.unwrap();
    let retry = |delay| Delivery::RetryIn { delay, error: "busy".into() };
    let handed = [
        sent(1),
        sent(1),
        retry(GRACE).into(),
        Delivery::Failed { error: "no such number".into() }.into(),
        retry(48 * 60 * MINUTE).into(),
    ];
    let ends: Vec<End> = rows.iter().zip(&handed).map(|(row, handed)| End::of(row, handed)).collect();

    let finished = finish_all(&pool, &ends).await;

    use Finished::{Done, NotOurs, WaitsAgain};
    assert_eq!(finished, [Done, NotOurs, WaitsAgain, Done, Done]);
    let states: Vec<(String, Option<String>)> =
        sqlx::query_as("select status, last_error from outbox order by subject_id").fetch_all(&mut clinic).await.unwrap();
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
    assert_eq!(finish_all(&pool, &ends).await, [NotOurs; 5]);
}

#[tokio::test]
async fn who_is_being_withdrawn_is_waited_for_and_not_called() {
    let databases = Databases::new().await;
    let (mut clinic, pool) = (databases.clinic().await, pool(&databases.clinic));
    let rows = claimed(&mut clinic, 3).await;
    let mut other = databases.clinic().await;
    let mut cancelling = other.begin().await.unwrap();
    outbox::withdraw(&mut *cancelling, rows[1].subject_id).await.unwrap();
    let starting = start_all(&pool, &rows);
    tokio::pin!(starting);

    // The others are on record while the one is still waited for.
    let on_record = async {
        while attempts(&mut clinic, &rows[2]).await.is_empty() {
            assert!(futures_util::poll!(&mut starting).is_pending());
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(MINUTE, on_record).await.unwrap();
    assert!(futures_util::poll!(&mut starting).is_pending());
    cancelling.commit().await.unwrap();

    assert_eq!(starting.await, [Some(1), None, Some(1)]);
    assert!(attempts(&mut clinic, &rows[1]).await.is_empty());
}

#[tokio::test]
async fn one_that_the_database_refuses_spoils_no_other() {
    let databases = Databases::new().await;
    let (mut clinic, pool) = (databases.clinic().await, pool(&databases.clinic));
    let rows = claimed(&mut clinic, 3).await;
    start_all(&pool, &rows).await;
    let unspeakable = Delivery::Failed { error: "a nought: \0".into() };
    let handed = [sent(1), unspeakable.into(), sent(1)];
    let ends: Vec<End> = rows.iter().zip(&handed).map(|(row, handed)| End::of(row, handed)).collect();
    let mut conn = pool.acquire().await.unwrap();

    let finished = outbox::finish_all(&mut conn, &ends).await;

    assert!(matches!(finished[0], Ok(Finished::Done)) && matches!(finished[2], Ok(Finished::Done)));
    assert!(finished[1].is_err());
    let done: i64 = sqlx::query_scalar("select count(*) from outbox where status = 'sent'").fetch_one(&mut clinic).await.unwrap();
    assert_eq!(done, 2);
}
