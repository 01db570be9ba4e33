//! What an instance knows of clinics, and what it makes of a registry that is slow, silent, or says something new.

use std::time::Duration;

use futures_util::future::join_all;
use nadi::app::Core;
use nadi::config::Settings;
use nadi::ids::ClinicId;
use nadi::tenancy::directory::{Closed, Idle};
use nadi::tenancy::hinter::Hinter;
use nadi::tenancy::notices::Notice;
use nadi::tenancy::{Directory, roles};
use nadi::worker::FastPath;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::until;
use crate::support::{Frozen, Options, TestClinic, TestPlatform};

/// Longer than a caller waits for the registry, shorter than two such waits and the rest between them.
const ONE_WAIT: Duration = Duration::from_millis(1200);

/// A directory beside the server's own.
fn directory(platform: &TestPlatform) -> Directory {
    let core = &platform.core;
    Directory::new(
        core.central.clone(),
        core.settings.clone(),
        core.clock.clone(),
        core.notices.clone(),
        Hinter::start(core.central.home.clone()),
        FastPath::default(),
        Idle::default(),
    )
}

fn shanti() -> Notice {
    Notice::Clinic("shanti".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_never_leads_to_another_clinic_of_the_same_name() {
    let platform = TestPlatform::new().await;
    let directory = directory(&platform);
    let first = platform.provision("shanti").await;
    assert_eq!(directory.clinic_by_id(first).await.unwrap().id, first);

    let mut central = platform.server.superuser(&platform.database).await;
    sqlx::query("delete from clinics").execute(&mut central).await.unwrap();
    roles::drop_database_and_role(&mut central, first).await.unwrap();
    let second = platform.provision("shanti").await;
    platform.core.notices.apply(&shanti());

    assert_eq!(directory.clinic_by_id(second).await.unwrap().id, second);
    assert_eq!(directory.clinic_by_id(first).await.err(), Some(Closed::Unknown));
    assert_eq!(directory.clinic_by_id(ClinicId::new()).await.err(), Some(Closed::Unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_disturbs_nobody_and_a_suspension_everybody() {
    let platform = TestPlatform::new().await;
    platform.provision("shanti").await;
    let directory = directory(&platform);
    let before = directory.clinic("shanti").await.unwrap();
    before.read().await.unwrap();
    let mut central = platform.server.superuser(&platform.database).await;

    for change in ["name = 'Shanti of Kochi'", "schema_level = schema_level + 1"] {
        let change = format!("update clinics set {change}");
        roles::execute(&mut central, change).await.unwrap();
        platform.core.notices.apply(&shanti());
        let after = directory.clinic("shanti").await.unwrap();
        assert_eq!(after.name, "Shanti of Kochi");
        after.read().await.unwrap();
        // Whoever began before it goes on.
        before.read().await.unwrap();
    }

    let suspend = "update clinics set status = 'suspended'".to_owned();
    roles::execute(&mut central, suspend).await.unwrap();
    let after = directory.clinic("shanti").await;
    assert!(after.is_ok(), "nobody has told yet");
    platform.core.notices.apply(&shanti());
    assert_eq!(directory.clinic("shanti").await.err(), Some(Closed::Suspended));
    assert!(after.unwrap().read().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_in_no_known_zone_is_not_served_in_another() {
    let platform = TestPlatform::new().await;
    platform.provision("shanti").await;
    let mut central = platform.server.superuser(&platform.database).await;
    let change = "update clinics set time_zone = 'Mars/Olympus'".to_owned();
    roles::execute(&mut central, change).await.unwrap();
    let alarms = || nadi::metrics::ALARMS.with_label_values(&["unusable_clinic"]).get();
    let before = alarms();

    let answer = platform.anybody("shanti.localhost").get("/auth/me").await.expect(503);

    assert_eq!(answer.problem(), "clinic-unavailable");
    assert!(alarms() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_has_a_name_where_a_way_past_a_pooler_is_given() {
    let options = Options { no_server: true, ..Options::default() };
    let platform = TestPlatform::with(options).await;
    for (direct, named) in [(false, true), (true, false)] {
        let mut settings = platform.settings();
        let (_, url) = settings[0].clone();
        settings.extend(direct.then(|| ("NADI_CENTRAL_DATABASE_URL_DIRECT".to_owned(), url)));
        let settings = Settings::read(settings.into_iter()).unwrap();
        let core = Core::new(settings, platform.clock.clone()).unwrap();
        core.require_central_schema().await.unwrap();

        let mut conn = core.central.realm.read().await.unwrap();
        sqlx::query("select $1::integer").bind(1).execute(&mut conn).await.unwrap();
        let names: i64 =
            sqlx::query_scalar("select count(*) from pg_prepared_statements where name <> ''")
                .fetch_one(&mut conn)
                .await
                .unwrap();
        assert_eq!(names > 0, named, "{names}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_names_hurts_no_clinic_that_is_known() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let there = desk.at(&second.address, &clinic.host);
    until(&there, "/auth/me", 200).await;
    let mut central = platform.server.superuser(&platform.database).await;
    // Looking anything up takes as long as it may.
    let held = "begin; lock table clinics in access exclusive mode".to_owned();
    roles::execute(&mut central, held).await.unwrap();

    let flood = join_all((0..40).map(|n| {
        let stranger = platform.anybody(&format!("unknown-{n}.localhost"));
        async move {
            let asked = Instant::now();
            stranger.get("/auth/me").await.expect(503);
            asked.elapsed()
        }
    }));
    let calm = async {
        for _ in 0..20 {
            let asked = Instant::now();
            desk.get("/auth/me").await.expect(200);
            assert!(asked.elapsed() < ONE_WAIT, "{:?}", asked.elapsed());
        }
        desk.post("/auth/logout", &Value::Null).await.expect(204);
        until(&there, "/auth/me", 401).await.1
    };
    let (waits, heard) = tokio::join!(flood, calm);

    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(5)), "{waits:?}");
    assert!(heard < super::SOON, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_that_takes_everything_and_answers_nothing_costs_a_moment() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    until(&desk, "/auth/me", 200).await;
    let mut superuser = platform.server.superuser("postgres").await;
    let pids: Vec<i32> = sqlx::query_scalar("select pid from pg_stat_activity where datname = $1")
        .bind(&platform.database)
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    let _frozen = Frozen::new(&mut superuser, &pids).await;
    let within =
        async |asked: Instant| assert!(asked.elapsed() < ONE_WAIT, "{:?}", asked.elapsed());

    // Past the time in which nobody doubts, and several looks.
    let began = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(20)); // an account may not ask without end
    while began.elapsed() < Duration::from_secs(4) {
        pace.tick().await;
        let asked = Instant::now();
        desk.get("/auth/me").await.expect(200);
        within(asked).await;
    }
    let asked = Instant::now();
    desk.post("/auth/logout", &json!(null)).await.expect(204);
    within(asked).await;
    desk.get("/auth/me").await.expect(401);
}
