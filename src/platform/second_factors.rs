//! Second factors that were lost: a super-admin takes away an owner's, or another super-admin's. Whoever is alone does it on the
//! server (`nadi admin reset --second-factor`).

use chrono::{DateTime, Utc};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::json;

use super::accounts::OwnerStatus;
use crate::audit::{self, Act, Seen};
use crate::auth::may::ManagePlatform;
use crate::auth::second_factor::{self, ProofRequest};
use crate::auth::{May, Role, sessions};
use crate::error::Problem;
use crate::http::context::Anybody;
use crate::http::etag::{ETag, IfMatch};
use crate::http::input::Input;
use crate::http::page::Listing;
use crate::http::path::Path;
use crate::http::payload::{Done, Payload};
use crate::ids::AccountId;
use crate::time::{shown, shown_if_any};

/// Who keeps the platform, and factors that were lost.
pub struct SecondFactorsApi;

/// Somebody who may do everything on the platform.
#[derive(Debug, Serialize, Object, sqlx::FromRow)]
pub struct SuperAdminView {
    pub id: AccountId,
    pub full_name: String,
    pub email: String,
    pub status: OwnerStatus,
    /// Signs in with one.
    pub second_factor: bool,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown_if_any")]
    pub last_seen_at: Option<DateTime<Utc>>,
}

#[OpenApi]
impl SecondFactorsApi {
    /// List super-admins
    #[oai(path = "/super-admins", method = "get", operation_id = "listSuperAdmins")]
    async fn list(
        &self,
        who: May<ManagePlatform>,
        caller: Anybody,
    ) -> Result<Payload<Listing<SuperAdminView>>, Problem> {
        let mut conn = caller.realm.read().await?;
        let rows: Vec<SuperAdminView> = sqlx::query_as(
            "select u.id, u.full_name, u.email, u.status, u.created_at, f.user_id is not null as second_factor,
                    (select max(last_seen_at) from sessions s where s.user_id = u.id) as last_seen_at
             from users u left join second_factors f on f.user_id = u.id and f.confirmed_at is not null
             where u.role = 'super_admin' and u.deleted_at is null order by u.id",
        )
        .fetch_all(&mut conn)
        .await?;
        drop(conn);
        who.saw(Seen::list("account", &rows, |row| row.id.0)).await?;
        Ok(Payload(Listing::whole(rows)))
    }

    /// Take away another super-admin's lost second factor
    ///
    /// Proved with one's own password or code. Every session of the account ends. The platform sends no mail: tell its owner.
    #[oai(
        path = "/super-admins/:id/totp",
        method = "delete",
        operation_id = "removeSuperAdminTotp"
    )]
    async fn super_admins(
        &self,
        who: May<ManagePlatform>,
        caller: Anybody,
        id: Path<AccountId>,
        if_match: IfMatch,
        body: Input<ProofRequest>,
    ) -> Result<Done, Problem> {
        take_away(&who, &caller, (id.0, Role::SuperAdmin), if_match, body).await
    }

    /// Take away a clinic owner's lost second factor
    ///
    /// As `DELETE /super-admins/{id}/totp`.
    #[oai(
        path = "/clinic-admins/:id/totp",
        method = "delete",
        operation_id = "removeClinicOwnerTotp"
    )]
    async fn owners(
        &self,
        who: May<ManagePlatform>,
        caller: Anybody,
        id: Path<AccountId>,
        if_match: IfMatch,
        body: Input<ProofRequest>,
    ) -> Result<Done, Problem> {
        take_away(&who, &caller, (id.0, Role::ClinicOwner), if_match, body).await
    }
}

async fn take_away(
    who: &May<ManagePlatform>,
    caller: &Anybody,
    (id, role): (AccountId, Role),
    if_match: IfMatch,
    body: Input<ProofRequest>,
) -> Result<Done, Problem> {
    let mut conn = caller.realm.read().await?;
    let version: Option<i64> = sqlx::query_scalar(
        "select u.version from users u join second_factors f on f.user_id = u.id
         where u.id = $1 and u.role = $2 and u.deleted_at is null",
    )
    .bind(id)
    .bind(role.as_str())
    .fetch_optional(&mut conn)
    .await?;
    drop(conn);
    let version = version.ok_or_else(Problem::not_found)?;
    body.accept()?;
    if_match.honour(ETag(version))?;
    let given = body.read()?.given();
    if who.account == id {
        return Err(Problem::conflict("conflict", "give up your own with DELETE /auth/totp"));
    }
    // Ended before the other account is locked: two may do it to each other.
    second_factor::prove(caller, who, given).await?.commit().await?;
    let mut tx = caller.realm.begin(who.actor()).await?;
    sqlx::query("select from users where id = $1 for no key update")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    second_factor::take_away(&mut tx, caller, id).await?;
    let ended = sessions::end_all(&mut tx, id, "second_factor_removed").await?;
    let act = Act::new("session.all_ended", "account", id);
    audit::record(&mut tx, act.details(json!({ "sessions": ended }))).await?;
    tx.commit().await?;
    caller.sessions.changed(&caller.realm).await;
    Ok(Done)
}
