//! How many may listen, with what, and what becomes of one who does not keep up.

use chrono::TimeDelta;
use nadi::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::{HALF_PAST, TEN, Watcher, book, pair};
use crate::support::{TestClinic, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_lets_a_browser_listen_for_half_a_minute_and_for_nothing_else() {
    let (platform, clinic) = TestClinic::new().await;
    let arogya = platform.clinic("arogya").await;
    let (desk, nobody) = (clinic.desk().await, clinic.anybody());
    let made = desk.post("/live/tickets", &Value::Null).await.expect(200);
    assert_eq!(made.body["expires_in"], 30);
    let ticket = made.body["ticket"].as_str().unwrap().to_owned();
    let path = format!("/live?ticket={ticket}");

    let mut watcher = Watcher::of(nobody.request(Method::GET, &path)).await;
    let visit = book(&clinic, &desk, 0, TEN).await;
    assert_eq!(watcher.hears().await, pair("booked", &visit));

    nobody.get("/live").await.expect(401);
    arogya.anybody().get(&path).await.expect(401);
    nobody.get(&format!("/appointments?ticket={ticket}")).await.expect(401);
    for place in [0, 40, 60, ticket.len() - 2] {
        let mut bytes = ticket.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).unwrap();
        nobody.get(&format!("/live?ticket={forged}")).await.expect(401);
    }
    clinic.caller(Role::Pharmacist).await.post("/live/tickets", &Value::Null).await.expect(403);
    platform.clock.advance(TimeDelta::seconds(31));
    let late = nobody.get(&path).await.expect(401);
    assert_eq!(late.problem(), "unauthenticated");
    platform.clock.advance(TimeDelta::seconds(-31));
    Watcher::of(nobody.request(Method::GET, &path)).await;
    desk.post("/auth/logout", &Value::Null).await.expect(204);
    nobody.get(&path).await.expect(401);
    assert_eq!(watcher.ends().await, "session");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_two_dozen_streams_and_one_that_is_closed_makes_room() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut watchers = Vec::new();
    for _ in 0..24 {
        watchers.push(Watcher::new(&desk).await);
    }

    let refused = desk.get("/live").await.expect(429);

    assert_eq!(refused.problem(), "too-many-streams");
    assert_eq!(refused.header("retry-after"), "30");
    let mut others = Watcher::new(&clinic.admin().await).await;
    watchers.pop();
    let visit = book(&clinic, &desk, 0, TEN).await; // this client hangs up only on what it is told
    until("there is room again", async || desk.get("/live").await.status == 200).await;
    assert_eq!(others.hears().await, pair("booked", &visit));
    for watcher in &mut watchers {
        assert_eq!(watcher.hears().await, pair("booked", &visit));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_is_on_record() {
    let (_platform, clinic) = TestClinic::new().await;
    let patient = clinic.patient().await;
    let _watcher = Watcher::new(&patient).await;

    until("it is noted", async || {
        let row =
            "select count(*) from audit_log where action = 'live.read' and entity_id = session_id
                   and about_id is not null and role = 'patient'";
        clinic.count(row).await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_holds_nobody_up_and_is_let_go() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut watcher = Watcher::new(&desk).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = clinic.address.trim_start_matches("http://").parse().unwrap();
    let mut slow = socket.connect(address).await.unwrap();
    let request = format!(
        "GET /api/v1/live HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        clinic.host,
        desk.token.as_deref().unwrap()
    );
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 1];
    slow.read_exact(&mut first).await.unwrap(); // it listens

    // More than the ring and all buffers on the way hold.
    const MANY: usize = 40_000;
    sqlx::query(
        "insert into live_events (kind, details) select 'appointment.bulk', jsonb_build_object('n', n, 'words', repeat('x', 400))
         from generate_series(1, $1) as n",
    )
    .bind(MANY as i32)
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    let visit = book(&clinic, &desk, 0, TEN).await; // which rings

    for number in 1..=MANY {
        let heard = watcher.next().await.unwrap();
        assert_eq!(heard.data["n"], json!(number));
    }
    assert_eq!(watcher.hears().await, pair("booked", &visit));
    let next = book(&clinic, &desk, 1, HALF_PAST).await;
    assert_eq!(watcher.hears().await, pair("booked", &next));
    let mut rest = String::new();
    slow.read_to_string(&mut rest).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        rest.contains("{\"reason\":\"behind\"}"),
        "{}",
        &rest[rest.len().saturating_sub(500)..]
    );
    assert!(rest.contains("\"n\":1,") && !rest.contains(&format!("\"n\":{MANY},")));
}
