//! A stream ends with the right to it, within a second, and first of all when its instance stops.

use std::time::{Duration, Instant};

use nadi::auth::Role;
use nadi::tenancy::notices::Notice;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{TEN, Watcher, book};
use crate::support::{Caller, Options, PASSWORD, Process, TestClinic, TestPlatform};

/// What is promised, and time for a busy machine.
const SOON: Duration = Duration::from_millis(2000);

/// Somebody who listens on both instances, and what takes the right to it.
struct Scene {
    platform: TestPlatform,
    clinic: TestClinic,
    second: TestPlatform,
}

impl Scene {
    async fn new() -> Self {
        let (platform, clinic) = TestClinic::new().await;
        let second = platform.another_instance().await;
        Self { platform, clinic, second }
    }

    /// Listens on both, and says how each ended and how long the slower took.
    async fn ends(&self, caller: &Caller, act: impl AsyncFnOnce()) -> (String, Duration) {
        let here = Watcher::new(caller).await;
        let there = Watcher::new(&caller.at(&self.second.address, &self.clinic.host)).await;
        let began = Instant::now();
        act().await;
        let (here, there) = tokio::join!(here.ends(), there.ends());
        assert_eq!(here, there);
        (here, began.elapsed())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_session_its_account_and_its_role() {
    let scene = Scene::new().await;
    let clinic = &scene.clinic;
    let admin = clinic.admin().await;
    let mut bystander = Watcher::new(&admin).await;
    let path = format!("/users/{}", clinic.account(Role::Receptionist));
    let end = |reason: &str, (said, took): (String, Duration)| {
        assert_eq!(said, reason);
        assert!(took < SOON, "{took:?}");
    };

    let desk = clinic.desk().await;
    let logout =
        scene.ends(&desk, async || drop(desk.post("/auth/logout", &Value::Null).await.expect(204)));
    end("session", logout.await);

    let (desk, other) = (clinic.desk().await, clinic.desk().await);
    let mut stays = Watcher::new(&other).await;
    let new = json!({ "current_password": PASSWORD, "new_password": "a-river-runs-by-the-mill" });
    let changed = scene.ends(&desk, async || {
        other.post("/auth/change-password", &new).await.expect(204);
    });
    end("session", changed.await);

    let own_role = admin.get(&path).await;
    let mut wanted = json!({ "full_name": "Desk", "email": "receptionist@shanti.example" });
    wanted["role"] = json!("accountant"); // who may listen as well: but with other rights
    let role = scene.ends(&other, async || {
        admin.put(&path, own_role.header("etag"), &wanted).await.expect(200);
    });
    end("session", role.await);
    assert_eq!(stays.next().await.unwrap().data, json!({ "reason": "session" }));
    assert_eq!(stays.next().await, None);

    let status = json!({ "status": "suspended" });
    let suspended = scene.ends(&other, async || {
        admin.patch(&format!("{path}/status"), "*", &status).await.expect(200);
    });
    end("session", suspended.await);

    let patient = clinic.patient().await;
    let account = format!("/patients/{}/account-status", clinic.patients[0]);
    let banned = scene.ends(&patient, async || {
        admin.patch(&account, "*", &json!({ "status": "banned" })).await.expect(200);
    });
    end("session", banned.await);

    // Who had nothing to do with all that hears on.
    let visit = book(clinic, &admin, 1, TEN).await;
    assert_eq!(bystander.hears().await, super::pair("booked", &visit));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_clinic() {
    let scene = Scene::new().await;
    let superior = scene.platform.super_admin().await;
    let desk = scene.clinic.desk().await;

    let (reason, took) = scene
        .ends(&desk, async || {
            superior.post("/clinics/shanti/suspend", &Value::Null).await.expect(200);
        })
        .await;

    assert_eq!(reason, "clinic");
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_that_cannot_be_opened_just_now_is_not_said_to_be_closed() {
    let scene = Scene::new().await;
    let desk = scene.clinic.desk().await;
    let mut central = scene.platform.server.superuser(&scene.platform.database).await;

    let (reason, _) = scene
        .ends(&desk, async || {
            let change = "update clinics set time_zone = 'Mars/Olympus'".to_owned();
            nadi::tenancy::roles::execute(&mut central, change).await.unwrap();
            Notice::Clinic("shanti".into()).announce(&mut central).await.unwrap();
        })
        .await;

    assert_eq!(reason, "broken", "come again");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_hear_of_a_logout_looks_for_himself() {
    let scene = Scene::new().await;
    let desk = scene.clinic.desk().await;
    let mut superuser = scene.platform.server.superuser("postgres").await;
    let database = &scene.platform.database;

    let (reason, took) = scene
        .ends(&desk, async || {
            for sql in [
                format!("alter database {database} with allow_connections false"),
                format!(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{database}'"
                ),
            ] {
                nadi::tenancy::roles::execute(&mut superuser, sql).await.unwrap();
            }
            desk.post("/auth/logout", &Value::Null).await.expect(204);
        })
        .await;

    assert_eq!(reason, "session");
    assert!(took < SOON + Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_stops_ends_its_streams_first() {
    let platform = TestPlatform::with(Options { no_server: true, ..Options::default() }).await;
    let clinic = platform.clinic("shanti").await;
    let settings = platform.settings();
    let (mut process, other) = tokio::join!(Process::serve(&settings), Process::serve(&settings));
    let anybody = Caller::new(&process.address, &clinic.host, None);
    let desk = anybody.sign_in("receptionist@shanti.example", PASSWORD).await;
    let mut watcher = Watcher::new(&desk).await;
    let visit = book(&clinic, &desk, 0, TEN).await;
    assert_eq!(watcher.hears().await, super::pair("booked", &visit));
    let heard = watcher.last_id().to_owned();
    let patient = Watcher::new(&clinic.patient().await.at(&process.address, &clinic.host)).await;

    process.signal(Signal::SIGTERM);
    let began = Instant::now();

    assert_eq!(watcher.ends().await, "restart");
    assert_eq!(patient.ends().await, "restart");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
    assert!(began.elapsed() < Duration::from_secs(15), "it waited for streams");
    // The other goes on where this one stopped.
    let there = desk.at(&other.address, &clinic.host);
    let mut back = Watcher::from(&there, &heard).await;
    desk.at(&other.address, &clinic.host)
        .delete(&format!("/appointments/{visit}"))
        .await
        .expect(200);
    assert_eq!(back.hears().await, super::pair("cancelled", &visit));
}
