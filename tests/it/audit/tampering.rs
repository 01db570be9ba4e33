//! Somebody with all rights on the database, and without our key. `nadi doctor` finds the first link that is broken.

use nadi::audit::Broken;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{until_sealed, verdict};
use crate::support::{TestClinic, TestPlatform, nadi};

/// A clinic with a dozen sealed rows and more.
async fn sealed_clinic() -> (TestPlatform, TestClinic) {
    let (mut platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    for i in 0..12 {
        admin.post("/patients", &json!({ "full_name": format!("Patient {i}") })).await.expect(201);
    }
    until_sealed(&platform, &clinic).await;
    platform.stop().await; // nobody seals meanwhile
    (platform, clinic)
}

async fn row_of(connection: &mut PgConnection, n: i64) -> i64 {
    sqlx::query_scalar("select log_id from audit_seals where n = $1")
        .bind(n)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_of_tampering_shows_at_its_first_link() {
    let (platform, clinic) = sealed_clinic().await;
    let mut connection = clinic.connection().await;
    let row = row_of(&mut connection, 5).await;
    let links = clinic.count("select max(n) from audit_seals").await;
    assert_eq!(verdict(&platform, &clinic).await.broken, None);

    let changed = Broken::Changed { n: 5, log_id: row };
    for (sql, broken) in [
        (format!("update audit_log set action = 'nothing.happened' where id = {row}"), changed.clone()),
        (format!("update audit_log set account_id = gen_random_uuid() where id = {row}"), changed.clone()),
        (format!("update audit_log set details = '{{\"a\": 1}}' where id = {row}"), changed.clone()),
        (format!("update audit_log set at = at - interval '1 microsecond' where id = {row}"), changed.clone()),
        (format!("update audit_log set address = '10.1.2.3' where id = {row}"), changed.clone()),
        ("update audit_seals set hash = sha256('') where n = 5".into(), changed.clone()),
        ("update audit_seals set sealed_at = now() where n = 5".into(), changed),
        (format!("delete from audit_log where id = {row}"), Broken::RowMissing { n: 5, log_id: row }),
        ("delete from audit_seals where n = 5".into(), Broken::LinkMissing { n: 5 }),
        (
            format!("delete from audit_log where id = {row}; delete from audit_seals where n = 5;
                     update audit_seals set n = -n where n > 5; update audit_seals set n = -n - 1 where n < 0"),
            Broken::Changed { n: 5, log_id: row_of(&mut connection, 6).await },
        ),
        (
            "update audit_seals a set log_id = b.log_id from audit_seals b where (a.n, b.n) in ((5, 6), (6, 5))".into(),
            Broken::Changed { n: 5, log_id: row_of(&mut connection, 6).await },
        ),
        (
            "insert into audit_log (id, action, entity, xid) overriding system value
             values (1000000, 'patient.deleted', 'patient', '3')".into(),
            Broken::RowAdded { log_id: 1_000_000 },
        ),
        (
            format!("delete from audit_seals where n > {0}; delete from audit_log where id not in (select log_id from audit_seals)", links - 2),
            Broken::Cut { links: links - 2, known: links },
        ),
        ("delete from audit_seals; delete from audit_log".into(), Broken::Cut { links: 0, known: links }),
        (
            // Without the key the end cannot be made anew.
            format!("update audit_seals set hash = sha256(hash) where n = {links}"),
            Broken::Changed { n: links, log_id: row_of(&mut connection, links).await },
        ),
    ] {
        let keep = "create table kept_log as table audit_log; create table kept_seals as table audit_seals";
        sqlx::raw_sql(keep).execute(&mut connection).await.unwrap();

        sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut connection).await.unwrap();
        assert_eq!(verdict(&platform, &clinic).await.broken, Some(broken), "{sql}");

        let restore = "delete from audit_log; delete from audit_seals;
                       insert into audit_log overriding system value select * from kept_log;
                       insert into audit_seals select * from kept_seals;
                       drop table kept_log, kept_seals";
        sqlx::raw_sql(restore).execute(&mut connection).await.unwrap();
        assert_eq!(verdict(&platform, &clinic).await.broken, None, "put back after {sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_the_clinic_and_the_link() {
    let (platform, clinic) = sealed_clinic().await;
    platform.provision("lotus").await;
    let settings = platform.settings();
    let doctor = async |arguments: &[&str], code| {
        nadi(&settings, &[&["doctor", "--json"], arguments].concat()).await.expect(code).json()
    };
    let about = |report: &serde_json::Value| -> Vec<(bool, String)> {
        let findings = report["findings"].as_array().unwrap().iter();
        let audit = findings.filter(|finding| finding["check"] == "audit log");
        audit.map(|f| (f["good"] == true, f["says"].as_str().unwrap().to_owned())).collect()
    };
    nadi(&settings, &["migrate", "central"]).await.expect(0); // shuts the database to PUBLIC, which a clone does not copy
    let good = about(&doctor(&[], 0).await);
    assert_eq!(good.len(), 2, "{good:?}");
    assert!(
        good[0].1.starts_with("the platform: ") && good[0].1.contains("links are whole"),
        "{good:?}"
    );
    assert_eq!(good[1], (true, "2 clinics' chains are whole".into()));

    let mut connection = clinic.connection().await;
    let row = row_of(&mut connection, 3).await;
    let edit = "update audit_log set details = '{}', action = 'nothing.happened' where id = $1";
    sqlx::query(edit).bind(row).execute(&mut connection).await.unwrap();
    let bad = about(&doctor(&[], 1).await);
    assert_eq!(bad.iter().filter(|(good, _)| *good).count(), 2, "{bad:?}");
    let said = &bad.iter().find(|(good, _)| !good).unwrap().1;
    assert!(said.starts_with(&format!("shanti: row {row} is not what link 3 sealed")), "{said}");
    let one = about(&doctor(&["--clinic", "lotus"], 0).await);
    assert!(one.len() == 1 && one[0].1.starts_with("lotus: "), "{one:?}");
    assert!(
        about(&doctor(&["--clinic", "nowhere"], 1).await)[0]
            .1
            .contains("there is no clinic nowhere")
    );

    let mut central = platform.server.superuser(&platform.database).await;
    sqlx::query("update audit_log set role = 'nobody' where id = (select log_id from audit_seals where n = 1)")
        .execute(&mut central)
        .await
        .unwrap();
    let said = about(&doctor(&[], 1).await);
    assert!(
        said.iter().any(|(good, says)| !good && says.starts_with("the platform: row ")),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_itself_may_only_add_and_read() {
    let (platform, clinic) = TestClinic::new().await;
    until_sealed(&platform, &clinic).await;
    let mut connection = clinic.connection().await;
    let own = nadi::tenancy::roles::database_name(clinic.id);
    let mut central = platform.core.central.home.clone();
    central = central.database(&platform.database);

    sqlx::raw_sql(AssertSqlSafe(format!("set role {own}"))).execute(&mut connection).await.unwrap();
    for sql in [
        "update audit_log set action = ''",
        "delete from audit_log",
        "truncate audit_log",
        "update audit_seals set hash = sha256('')",
        "delete from audit_seals",
        "truncate audit_seals",
        "insert into audit_log (action, entity, xid) values ('a', 'b', '3')",
        "insert into audit_log (id, action, entity) overriding system value values (7, 'a', 'b')",
        "select audit_log_was_moved()",
    ] {
        let refused = sqlx::query(sql).execute(&mut connection).await.unwrap_err();
        assert_eq!(
            refused.as_database_error().unwrap().code().unwrap(),
            "42501",
            "{sql}: {refused}"
        );
    }
    use sqlx::ConnectOptions;
    let mut owner = central.connect().await.unwrap();
    for sql in [
        "update audit_log set action = ''",
        "delete from audit_log",
        "truncate audit_log",
        "update audit_seals set hash = sha256('')",
        "delete from audit_seals",
        "truncate audit_seals",
    ] {
        let refused = sqlx::query(sql).execute(&mut owner).await.unwrap_err();
        assert_eq!(
            refused.as_database_error().unwrap().code().unwrap(),
            "42501",
            "{sql}: {refused}"
        );
    }
}
