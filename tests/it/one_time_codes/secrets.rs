//! A code is read by whom it was sent to, and by nobody else: not in tables, not in logs, not in answers.

use std::io::Write;
use std::sync::{Arc, Mutex};

use sqlx::{PgConnection, Row};

use super::{LAKSHMI, all_is_sent, ask, code, guess, pass};
use crate::support::TestClinic;

/// In no statement's text, as the numbers of the furnishing are.
const PHONE: &str = "+919847099887";

/// Everything that is logged, down to the drivers.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The tables that hold a text anywhere, in clear or as bytes.
pub async fn tables_with(inside: &mut PgConnection, text: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public' order by 1",
    )
    .fetch_all(&mut *inside)
    .await
    .unwrap();
    assert!(tables.len() > 15, "{tables:?}");
    let mut holding = Vec::new();
    for table in tables {
        let sql = format!(
            "select exists(select from {table} as r where strpos(r::text, $1) > 0
               or strpos(r::text, encode($1::bytea, 'hex')) > 0)"
        );
        let found = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(text).fetch_one(&mut *inside).await;
        if found.unwrap().get(0) {
            holding.push(table);
        }
    }
    holding
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_in_no_table_no_log_and_no_answer() {
    let log = Log::default();
    let writer = log.clone();
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .try_init();
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let mut inside = clinic.connection().await;
    sqlx::query("insert into patients (id, full_name, phone) values ($1, 'Somebody New', $2)")
        .bind(nadi::ids::new_uuid())
        .bind(PHONE)
        .execute(&mut inside)
        .await
        .unwrap();
    let asked = ask(&anybody, PHONE).await.expect(202);
    let right = code(&platform, PHONE, 1).await;

    let at_rest = tables_with(&mut inside, &right).await;
    let entered = guess(&anybody, &asked.body["request_id"], &right).await.expect(200);
    all_is_sent(&clinic).await;

    assert_eq!(at_rest, [""; 0]);
    assert_eq!(tables_with(&mut inside, &right).await, [""; 0]);
    // The scan finds what is there in clear: whose phone it is, is no secret of these two alone.
    assert_eq!(tables_with(&mut inside, PHONE).await, ["patients", "users"]);
    assert!(!asked.text.contains(&right) && !entered.body["user"].to_string().contains(&right));
    let logged = log.text();
    assert!(logged.contains("requestOtp"), "the log was taken: {} bytes", logged.len());
    assert!(!logged.contains(PHONE), "a whole number was logged");
    let told = logged.lines().filter(|line| line.contains(&right) && line.contains("code"));
    assert_eq!(told.count(), 0, "the code was logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_spent_or_out_of_date_is_wiped() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let sealed = "select count(*) from otp_requests where payload_cipher is not null";
    let asked = ask(&anybody, LAKSHMI).await.expect(202);
    let right = code(&platform, LAKSHMI, 1).await;
    assert_eq!(clinic.count(sealed).await, 1);

    guess(&anybody, &asked.body["request_id"], &right).await.expect(200);
    assert_eq!(clinic.count(sealed).await, 0, "used");
    let asked = ask(&anybody, LAKSHMI).await.expect(202);
    for _ in 0..5 {
        guess(&anybody, &asked.body["request_id"], "wrong").await.expect(401);
    }
    assert_eq!(clinic.count(sealed).await, 0, "guessed at too often");
    pass(&clinic, "301 s").await;
    ask(&anybody, LAKSHMI).await.expect(202);
    pass(&clinic, "301 s").await;
    ask(&anybody, "nobody@mail.example").await.expect(202);
    all_is_sent(&clinic).await;
    assert_eq!(clinic.count(sealed).await, 1, "the dead one is wiped with the next");
    pass(&clinic, "49 h").await;
    ask(&anybody, "nobody@mail.example").await.expect(202);
    all_is_sent(&clinic).await;
    assert_eq!(
        clinic.count("select count(*) from otp_requests").await,
        1,
        "and forgotten after two days"
    );
    assert_eq!(
        clinic.count("select count(*) from outbox where payload_cipher is not null").await,
        0
    );
}
