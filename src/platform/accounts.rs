//! `/clinic-admins`: the accounts of clinic owners, who may make clinics and see their own alone.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object, OpenApi};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit::{self, Act, Seen};
use crate::auth::may::ManagePlatform;
use crate::auth::{May, Role, links, sessions};
use crate::db::{self, Tx};
use crate::error::{FieldError, Problem};
use crate::http::context::OnPlatform;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{self, Fields, Readable};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, Query};
use crate::http::page::{Listing, Page};
use crate::http::path::Path;
use crate::http::payload::{Created, Payload, Stored};
use crate::ids::AccountId;
use crate::time::shown;

/// Accounts of clinic owners.
pub struct AccountsApi;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum OwnerStatus {
    Active,
    Suspended,
    Banned,
}

impl OwnerStatus {
    fn as_str(self) -> &'static str {
        match self {
            OwnerStatus::Active => "active",
            OwnerStatus::Suspended => "suspended",
            OwnerStatus::Banned => "banned",
        }
    }
}

/// A clinic owner.
#[derive(Clone, Debug, Serialize, Object, sqlx::FromRow)]
pub struct OwnerView {
    pub id: AccountId,
    pub role: Role,
    pub full_name: String,
    pub email: String,
    pub phone: Option<String>,
    pub status: OwnerStatus,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

/// A clinic owner just made.
#[derive(Debug, Serialize, Object)]
pub struct CreatedOwner {
    #[serde(flatten)]
    #[oai(flatten)]
    pub owner: OwnerView,
    /// Shown once: the owner sets a password there.
    pub set_password_url: String,
}

#[derive(Object)]
pub struct OwnerRequest {
    full_name: String,
    email: String,
    phone: Option<String>,
}

impl Readable for OwnerRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let full_name = fields.required("full_name", fields::line(1, 200));
        let email = fields.required("email", fields::email);
        let phone = fields.optional("phone", fields::phone("IN"));
        Some(Self { full_name: full_name?, email: email?, phone })
    }
}

#[derive(Object)]
pub struct OwnerStatusRequest {
    status: OwnerStatus,
}

impl Readable for OwnerStatusRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { status: fields.required("status", fields::choice)? })
    }
}

/// Which owners.
#[derive(Object)]
pub struct ListOwners {
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    page: Option<Page>,
}

impl Readable for ListOwners {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { limit: None, cursor: None, page: Some(Page::read(fields)) })
    }
}

#[OpenApi]
impl AccountsApi {
    /// List clinic owners
    #[oai(path = "/clinic-admins", method = "get", operation_id = "listClinicOwners")]
    async fn list(
        &self,
        who: May<ManagePlatform>,
        caller: OnPlatform,
        query: Query<ListOwners>,
    ) -> Result<Payload<Listing<OwnerView>>, Problem> {
        let page = query.read()?.page.expect("read above");
        let after = page.after::<AccountId>()?.map_or(uuid::Uuid::nil(), |id| id.0);
        let mut conn = caller.realm.read().await?;
        let rows: Vec<OwnerView> = sqlx::query_as(
            "select id, role, full_name, email, phone, status, created_at, version from users
             where role = 'clinic_owner' and deleted_at is null and id > $1 order by id limit $2",
        )
        .bind(after)
        .bind(page.fetch())
        .fetch_all(&mut conn)
        .await?;
        drop(conn);
        let listing = page.of(rows, |owner| owner.id);
        who.saw(Seen::list("account", &listing.items, |owner| owner.id.0)).await?;
        Ok(Payload(listing))
    }

    /// Make a clinic owner's account
    #[oai(path = "/clinic-admins", method = "post", operation_id = "createClinicOwner")]
    async fn create(
        &self,
        who: May<ManagePlatform>,
        caller: OnPlatform,
        key: Idempotency,
        body: Input<OwnerRequest>,
    ) -> Result<Replayable<Created<CreatedOwner>>, Problem> {
        let body_sha256 = body.sha256();
        let new = body.read()?;
        let mut tx = caller.realm.begin(who.actor()).await?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let owner =
            create(&mut tx, Role::ClinicOwner, &new.full_name, &new.email, new.phone.as_deref())
                .await
                .map_err(taken)?;
        let token = links::put(&mut *tx, owner.id).await?;
        let set_password_url = links::url(&caller.realm.url, &token);
        Replayable::commit(
            tx,
            kept,
            Created {
                etag: ETag(owner.version),
                location: format!("/clinic-admins/{}", owner.id),
                view: CreatedOwner { owner, set_password_url },
            },
        )
        .await
    }

    /// One clinic owner
    #[oai(path = "/clinic-admins/:id", method = "get", operation_id = "getClinicOwner")]
    async fn get(
        &self,
        who: May<ManagePlatform>,
        caller: OnPlatform,
        id: Path<AccountId>,
    ) -> Result<Stored<OwnerView>, Problem> {
        let mut conn = caller.realm.read().await?;
        let owner: Option<OwnerView> = sqlx::query_as(
            "select id, role, full_name, email, phone, status, created_at, version from users
             where id = $1 and role = 'clinic_owner' and deleted_at is null",
        )
        .bind(id.0)
        .fetch_optional(&mut conn)
        .await?;
        let owner = owner.ok_or_else(Problem::not_found)?;
        drop(conn);
        who.saw(Seen::one("account", owner.id)).await?;
        Ok(Stored { etag: ETag(owner.version), view: owner })
    }

    /// Suspend, ban or readmit a clinic owner
    #[oai(
        path = "/clinic-admins/:id/status",
        method = "patch",
        operation_id = "setClinicOwnerStatus"
    )]
    async fn set_status(
        &self,
        who: May<ManagePlatform>,
        caller: OnPlatform,
        id: Path<AccountId>,
        if_match: IfMatch,
        body: Input<OwnerStatusRequest>,
    ) -> Result<Stored<OwnerView>, Problem> {
        let mut tx = caller.realm.begin(who.actor()).await?;
        let version: Option<i64> = sqlx::query_scalar(
            "select version from users where id = $1 and role = 'clinic_owner' and deleted_at is null for update",
        )
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await?;
        let version = version.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(version))?;
        let status = body.read()?.status;
        let owner: OwnerView = sqlx::query_as(
            "update users set status = $2, version = version + 1, updated_at = now() where id = $1
             returning id, role, full_name, email, phone, status, created_at, version",
        )
        .bind(id.0)
        .bind(status.as_str())
        .fetch_one(&mut *tx)
        .await?;
        if status != OwnerStatus::Active {
            sessions::end_all(&mut tx, id.0, "account_closed").await?;
        }
        let act = Act::new("account.status_set", "account", id.0);
        audit::record(&mut tx, act.details(json!({ "status": status }))).await?;
        tx.commit().await?;
        caller.sessions.changed(&caller.realm).await;
        Ok(Stored { etag: ETag(owner.version), view: owner })
    }
}

/// Makes a platform account.
///
/// # Errors
/// The database's: `users_staff_email_key` when the e-mail is in use.
pub async fn create(
    tx: &mut Tx,
    role: Role,
    full_name: &str,
    email: &str,
    phone: Option<&str>,
) -> sqlx::Result<OwnerView> {
    let owner: OwnerView = sqlx::query_as(
        "insert into users (id, role, full_name, email, phone) values ($1, $2, $3, $4, $5)
         returning id, role, full_name, email, phone, status, created_at, version",
    )
    .bind(AccountId::new())
    .bind(role.as_str())
    .bind(full_name)
    .bind(email)
    .bind(phone)
    .fetch_one(&mut **tx)
    .await?;
    let act = Act::new("account.created", "account", owner.id);
    audit::record(tx, act.details(json!({ "role": role }))).await?;
    Ok(owner)
}

fn taken(error: sqlx::Error) -> Problem {
    let pointer = match db::violated(&error) {
        Some("users_staff_email_key") => "/email",
        Some("users_staff_phone_key") => "/phone",
        _ => return error.into(),
    };
    let error = FieldError::body(pointer, "taken", "another account has this already");
    Problem::invalid(vec![error])
}
