//! `nadi migrate clinics`: each by itself; one that fails stops no other, and says why.

use std::collections::BTreeMap;

use nadi::ids::ClinicId;
use nadi::tenancy::{migrate, roles};
use serde_json::Value;
use sqlx::PgConnection;

use super::registry;
use crate::support::{Ran, TestPlatform, nadi};

/// This binary's level, and the one before.
const LEVEL: i32 = 19;
const BEFORE: i32 = 18;

struct Fleet {
    platform: TestPlatform,
    settings: Vec<(String, String)>,
    clinics: BTreeMap<&'static str, ClinicId>,
}

impl Fleet {
    /// Three clinics, all at this binary's level.
    async fn new() -> Self {
        let platform = registry().await;
        let mut clinics = BTreeMap::new();
        for slug in ["arogya", "lotus", "shanti"] {
            clinics.insert(slug, platform.provision(slug).await);
        }
        let settings = platform.settings();
        Self { platform, settings, clinics }
    }

    async fn connection(&self, slug: &str) -> PgConnection {
        self.platform.server.superuser(&roles::database_name(self.clinics[slug])).await
    }

    async fn execute(&self, slug: &str, sql: &str) {
        roles::execute(&mut self.connection(slug).await, sql.to_owned()).await.unwrap();
    }

    /// Puts a clinic back to the level before this one: as if it had not been migrated yet.
    async fn undo_the_last_migration(&self, slug: &str) {
        assert_eq!(migrate::tenant_level(), LEVEL, "undo the newest migration here instead");
        self.execute(
            slug,
            "alter table patients drop column name_folded;
             alter table patients add column name_folded text not null generated always as (lower(full_name)) stored;
             create index patients_name_search on patients using gin (name_folded gin_trgm_ops) with (fastupdate = off)
               where deleted_at is null;
             drop function latin_spellings;
             delete from refinery_schema_history where version = 19;
             update clinic_identity set schema_level = 18",
        )
        .await;
    }

    async fn level(&self, slug: &str) -> i32 {
        sqlx::query_scalar("select schema_level from clinic_identity")
            .fetch_one(&mut self.connection(slug).await)
            .await
            .unwrap()
    }

    async fn migrate(&self, arguments: &[&str]) -> Ran {
        nadi(&self.settings, &[&["migrate", "clinics"], arguments].concat()).await
    }
}

/// Slug and outcome of each.
fn outcomes(ran: &Ran) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = ran.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| (text(&item["slug"]), text(&item["outcome"]))).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(slug, outcome)| (slug.to_owned(), outcome.to_owned())).to_vec()
}

#[tokio::test]
async fn what_is_pending_is_shown_then_done_for_those_who_are_named_then_for_all() {
    let fleet = Fleet::new().await;
    fleet.undo_the_last_migration("arogya").await;
    fleet.undo_the_last_migration("shanti").await;

    let dry = fleet.migrate(&["--dry-run", "--json"]).await.expect(0);
    assert_eq!(
        outcomes(&dry),
        pairs([("arogya", "pending"), ("lotus", "current"), ("shanti", "pending")])
    );
    assert_eq!(fleet.level("arogya").await, BEFORE, "a dry run changes nothing");
    let status = nadi(&fleet.settings, &["migrate", "status", "--json"]).await.expect(0).json();
    assert_eq!(status["clinics"]["items"][0]["outcome"], "pending");

    let unknown = fleet.migrate(&["--only", "arogya,nowhere"]).await.expect(1);
    assert!(unknown.stderr.contains("there is no clinic nowhere"), "{}", unknown.stderr);
    assert_eq!(fleet.level("arogya").await, BEFORE, "a misspelling changes nothing");

    let only = fleet.migrate(&["--only", "arogya", "--json"]).await.expect(0);
    assert_eq!(outcomes(&only), pairs([("arogya", "migrated")]));
    assert_eq!((fleet.level("arogya").await, fleet.level("shanti").await), (LEVEL, BEFORE));

    let rest = fleet.migrate(&["--jobs", "3"]).await.expect(0);
    let lines: Vec<Vec<&str>> =
        rest.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["CLINIC", "FROM", "TO", "OUTCOME", "MS", "ERROR"]);
    let (before, level) = (BEFORE.to_string(), LEVEL.to_string());
    assert_eq!(lines[3][..4], ["shanti", &before, &level, "migrated"]);
    assert_eq!(fleet.level("shanti").await, LEVEL);
    let again = fleet.migrate(&["--json"]).await.expect(0);
    assert!(outcomes(&again).iter().all(|(_, outcome)| outcome == "current"), "{}", again.stdout);
}

#[tokio::test]
async fn one_that_fails_stops_no_other() {
    let fleet = Fleet::new().await;
    for slug in ["arogya", "lotus", "shanti"] {
        fleet.undo_the_last_migration(slug).await;
    }
    // Somebody edited a migration after it was applied there.
    fleet
        .execute("lotus", "update refinery_schema_history set checksum = '1' where version = 2")
        .await;

    let ran = fleet.migrate(&["--jobs", "2", "--json"]).await.expect(3);

    assert_eq!(
        outcomes(&ran),
        pairs([("arogya", "migrated"), ("lotus", "failed"), ("shanti", "migrated")])
    );
    assert_eq!(ran.json()["failed"], 1);
    let error = ran.json()["items"][1]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("V2__accounts (changed since)"), "{error}");
    assert_eq!(fleet.level("lotus").await, BEFORE, "nothing was changed there");
    let shown =
        nadi(&fleet.settings, &["clinic", "show", "lotus", "--json"]).await.expect(0).json();
    assert_eq!(shown["last_error"], error);
    let doctor = nadi(&fleet.settings, &["doctor"]).await.expect(1);
    assert!(
        doctor.stdout.contains("lotus: its history is not this binary's: V2__accounts"),
        "{}",
        doctor.stdout
    );
    let record = "select outcome from migration_results r join clinics c on c.id = r.clinic_id order by slug";
    let mut central = fleet.platform.server.superuser(&fleet.platform.database).await;
    let record: Vec<String> = sqlx::query_scalar(record).fetch_all(&mut central).await.unwrap();
    assert_eq!(record, ["migrated", "failed", "migrated"]);

    fleet.undo_the_last_migration("arogya").await;
    let all = fleet.migrate(&["--only", "lotus"]).await.expect(1);
    assert!(all.stderr.contains("every clinic failed"), "{}", all.stderr);
}

#[tokio::test]
async fn a_database_that_lets_nobody_in_fails_alone() {
    let fleet = Fleet::new().await;
    fleet.undo_the_last_migration("shanti").await;
    let database = roles::database_name(fleet.clinics["arogya"]);
    let mut server = fleet.platform.server.superuser("postgres").await;
    roles::execute(&mut server, format!("alter database {database} allow_connections false"))
        .await
        .unwrap();

    let ran = fleet.migrate(&["--json"]).await.expect(3);

    assert_eq!(
        outcomes(&ran),
        pairs([("arogya", "failed"), ("lotus", "current"), ("shanti", "migrated")])
    );
    let status = nadi(&fleet.settings, &["migrate", "status"]).await.expect(0);
    assert!(status.stdout.contains("not currently accepting connections"), "{}", status.stdout);
}

#[tokio::test]
async fn a_clinic_that_a_newer_binary_migrated_is_left_alone() {
    let fleet = Fleet::new().await;
    fleet.undo_the_last_migration("lotus").await;
    fleet
        .execute(
            "lotus",
            "insert into refinery_schema_history (version, name, applied_on, checksum)
             values (999, 'from_tomorrow', '2099-01-01T00:00:00Z', '1')",
        )
        .await;

    let ran = fleet.migrate(&["--json"]).await.expect(3);

    assert_eq!(
        outcomes(&ran),
        pairs([("arogya", "current"), ("lotus", "failed"), ("shanti", "current")])
    );
    assert!(ran.stdout.contains("V999__from_tomorrow (unknown to this binary)"), "{}", ran.stdout);
    assert_eq!(fleet.level("lotus").await, BEFORE);
}

#[tokio::test]
async fn two_runs_at_once_migrate_each_clinic_once() {
    let fleet = Fleet::new().await;
    for slug in ["arogya", "lotus", "shanti"] {
        fleet.undo_the_last_migration(slug).await;
    }

    let (a, b) = tokio::join!(fleet.migrate(&["--json"]), fleet.migrate(&["--json"]));

    for ran in [&a, &b] {
        assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    }
    for slug in ["arogya", "lotus", "shanti"] {
        let rows = "select count(*) from refinery_schema_history where version = 9";
        let rows: i64 =
            sqlx::query_scalar(rows).fetch_one(&mut fleet.connection(slug).await).await.unwrap();
        assert_eq!((fleet.level(slug).await, rows), (LEVEL, 1));
    }
}
