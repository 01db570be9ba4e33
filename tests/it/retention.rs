//! What is of no use any more goes, by itself, from clinics' databases and from the central one; what is stays.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::support::{Options, Process, TestPlatform, until};

/// Of each kind more than one statement takes that are past their time, and two that are not.
async fn fill(connection: &mut PgConnection, account: Uuid) {
    for statement in [
        "insert into idempotency_keys (account_id, method, path, key, body_sha256, status, headers, body, created_at)
         select $1, 'POST', '/x', n::text, '', 200, '{}', '',
                now() - case when n > 2 then interval '25 hours' else interval '23 hours' end
         from generate_series(1, 1102) as n",
        "insert into login_failures (subject_sha256, failed_at)
         select uuid_send($1), now() - case when n > 2 then interval '25 hours' else interval '1 minute' end
         from generate_series(1, 1102) as n",
        // One has ended and would have lasted, one has run out.
        "insert into sessions (id, user_id, expires_at, ended_at)
         select gen_random_uuid(), $1, e, d from (values
           (now() + interval '1 day', now() - interval '31 days'), (now() - interval '31 days', null),
           (now() + interval '1 day', now() - interval '29 days'), (now() + interval '1 day', null)) as s (e, d)",
        "insert into password_links (token_sha256, user_id, expires_at, used_at)
         select sha256(n::text::bytea), $1, e, d from (values
           (1, now() + interval '1 day', now() - interval '31 days'), (2, now() - interval '31 days', null),
           (3, now() - interval '29 days', null), (4, now() + interval '1 day', null)) as l (n, e, d)",
    ] {
        sqlx::query(statement).bind(account).execute(&mut *connection).await.unwrap();
    }
}

/// How many of each are left of `fill`'s.
async fn left(connection: &mut PgConnection, account: Uuid) -> (i64, i64, i64, i64) {
    sqlx::query_as(
        "select (select count(*) from idempotency_keys where account_id = $1),
                (select count(*) from login_failures where subject_sha256 = uuid_send($1)),
                (select count(*) from sessions where user_id = $1),
                (select count(*) from password_links where user_id = $1)",
    )
    .bind(account)
    .fetch_one(connection)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_time_goes_and_nothing_else() {
    let platform = TestPlatform::with(Options { no_server: true, ..Options::default() }).await;
    let clinic = platform.clinic("shanti").await;
    let mut there = clinic.connection().await;
    let mut central = platform.server.superuser(&platform.database).await;
    let account: Uuid = nadi::ids::new_uuid();
    for (connection, role) in [(&mut there, "receptionist"), (&mut central, "clinic_owner")] {
        sqlx::query("insert into users (id, role, full_name, email) values ($1, $2, 'Anu', 'anu@x.example')")
            .bind(account)
            .bind(role)
            .execute(&mut *connection)
            .await
            .unwrap();
        fill(connection, account).await;
    }

    sqlx::query(
        "insert into freed_times (id, doctor_id, during) select gen_random_uuid(), $1, tstzrange(at, at + interval '1 hour')
         from (values (now() - interval '2 hours'), (now() - interval '1 minute')) as t (at)",
    )
    .bind(clinic.doctor)
    .execute(&mut there)
    .await
    .unwrap();

    let _serving = Process::serve(&platform.settings()).await;

    until("both are tidy", async || {
        left(&mut there, account).await == (2, 2, 2, 2)
            && left(&mut central, account).await == (2, 2, 2, 2)
    })
    .await;
    let freed = "select count(*) from freed_times";
    until("what is over is offered to nobody", async || clinic.count(freed).await == 1).await;
}
