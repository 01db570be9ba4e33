//! Roles and databases in PostgreSQL: who owns what, who may connect where. A clinic's login role owns nothing, may reach
//! its own database alone, and has its rights on rows from the group that the template grants to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Sha256;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, PgExecutor};

use crate::crypto;
use crate::ids::ClinicId;

/// The group that every clinic's login role is in; tenant migrations grant to it.
pub const GROUP: &str = "nadi_clinic";

/// A clinic's passwords are 256 random bits, which no number of rounds makes stronger: the least that RFC 7677 asks for,
/// because each new connection pays for them.
const SCRAM_ITERATIONS: u32 = 4096;

/// The name of a clinic's database, and of its login role.
pub fn database_name(clinic: ClinicId) -> String {
    format!("nadi_c_{}", clinic.0.simple())
}

/// What PostgreSQL keeps instead of a password (RFC 5803). The password itself never travels.
pub fn scram_verifier(password: &str) -> String {
    verifier(password, &crypto::random::<16>(), SCRAM_ITERATIONS)
}

fn verifier(password: &str, salt: &[u8], iterations: u32) -> String {
    let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations);
    let stored_key = crypto::sha256(&crypto::mac(&salted, b"Client Key"));
    let server_key = crypto::mac(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    )
}

/// Makes the group role where it is missing.
pub async fn ensure_group(connection: &mut PgConnection) -> sqlx::Result<()> {
    let exists: bool = sqlx::query_scalar("select exists(select from pg_roles where rolname = $1)")
        .bind(GROUP)
        .fetch_one(&mut *connection)
        .await?;
    if exists {
        return Ok(());
    }
    match execute(connection, format!("create role {GROUP} nologin")).await {
        Err(error) if is_duplicate(&error) => Ok(()), // another instance was faster
        other => other,
    }
}

/// Clones a clinic's database from the template, closed to everybody until [`open_database`].
pub async fn clone_database(
    executor: impl PgExecutor<'_>,
    clinic: ClinicId,
    template: &str,
) -> sqlx::Result<()> {
    let name = database_name(clinic);
    execute(executor, format!("create database {name} template {template} allow_connections false"))
        .await
}

/// Makes a clinic's login role, gives its database its rights and settings, and lets connections in: all in one transaction,
/// which several statements sent at once are. A clone copies neither the template's ACL nor its settings.
pub async fn open_database(
    executor: impl PgExecutor<'_>,
    clinic: ClinicId,
    verifier: &str,
) -> sqlx::Result<()> {
    let name = database_name(clinic);
    let settings: String = SETTINGS
        .iter()
        .map(|(setting, value)| format!("alter database {name} set {setting} = '{value}';"))
        .collect();
    execute(
        executor,
        format!(
            "create role {name} login password '{verifier}' in role {GROUP};
             revoke connect, temporary on database {name} from public;
             grant connect on database {name} to {name};
             {settings}
             alter database {name} allow_connections true"
        ),
    )
    .await
}

/// Settings of each clinic's database. Measured: with PostgreSQL's defaults a join of an appointment list is planned anew at
/// every execution; these two took it to twice the rate (docs/performance.md).
pub const SETTINGS: &[(&str, &str)] = &[
    ("random_page_cost", "1.1"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("statement_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("timezone", "UTC"),
];

/// How alike a name must be to be found: 0 to 1. Kept by the clinic's own database, from within: PostgreSQL lets an ordinary
/// role set an extension's parameter only where the extension is loaded.
pub fn search_threshold(clinic: ClinicId) -> String {
    let name = database_name(clinic);
    format!(
        "select show_limit(); alter database {name} set pg_trgm.word_similarity_threshold = '0.45'"
    )
}

/// Removes whatever an unfinished provisioning, or a deletion, leaves behind.
pub async fn drop_database_and_role(
    connection: &mut PgConnection,
    clinic: ClinicId,
) -> sqlx::Result<()> {
    let name = database_name(clinic);
    execute(&mut *connection, format!("drop database if exists {name} with (force)")).await?;
    execute(connection, format!("drop role if exists {name}")).await
}

/// Nobody but those who are named may connect to this database: not clinics' roles, above all.
pub async fn close_to_public(connection: &mut PgConnection, database: &str) -> sqlx::Result<()> {
    let quoted = database.replace('"', "\"\"");
    execute(connection, format!("revoke connect, temporary on database \"{quoted}\" from public"))
        .await
}

/// Runs a statement of our own making: names in it are ours (hexadecimal ids and constants), never input.
pub async fn execute(executor: impl PgExecutor<'_>, sql: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(executor).await.map(drop)
}

/// `42710` and `42P04`: the object is there; `23505`: two made it at once.
pub fn is_duplicate(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    matches!(code.as_deref(), Some("42710" | "42P04" | "23505"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3: user "user", password "pencil".
    #[test]
    fn the_verifier_agrees_with_the_rfcs_example() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();

        let verifier = verifier("pencil", &salt, 4096);

        assert_eq!(
            verifier,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
             $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }
}
