//! The platform's desk: clinics made, suspended, broken and mended, each without the others noticing.

mod directory;
mod making;
mod serving;

use std::time::Duration;

use nadi::tenancy::roles;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::support::{Answer, Caller};

const SOON: Duration = Duration::from_millis(1500);

fn new_clinic(slug: &str) -> Value {
    json!({
        "slug": slug, "name": "Shanti Ayurveda", "time_zone": "Asia/Kolkata",
        "admin": { "full_name": "Asha Nair", "email": "asha@shanti.example", "phone": "098470 12345" },
    })
}

/// Asks until the answer has this status.
async fn until(caller: &Caller, path: &str, status: u16) -> (Answer, Duration) {
    let began = Instant::now();
    loop {
        let answer = caller.get(path).await;
        if answer.status == status {
            return (answer, began.elapsed());
        }
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "still {} {}",
            answer.status,
            answer.text
        );
    }
}

async fn run(connection: &mut PgConnection, statements: impl IntoIterator<Item = String>) {
    for statement in statements {
        roles::execute(&mut *connection, statement).await.unwrap();
    }
}

/// Nobody gets in, and whoever is in is out.
fn close(database: &str) -> [String; 2] {
    [
        format!("alter database {database} with allow_connections false"),
        format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{database}'"
        ),
    ]
}

fn reopen(database: &str) -> [String; 1] {
    [format!("alter database {database} with allow_connections true")]
}
