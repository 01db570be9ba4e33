//! `/patients/{id}/account-status`: whether a patient may sign in. Who is suspended is out at once, and no code lets them in again.

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::json;

use super::store;
use crate::audit::{self, Act};
use crate::auth::may::WriteStaff;
use crate::auth::{May, sessions};
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{self, Fields, Readable};
use crate::http::input::Input;
use crate::http::path::Path;
use crate::http::payload::Stored;
use crate::ids::PatientId;
use crate::staff::AccountStatus;

/// Whether patients may sign in.
pub struct AccountStatusApi;

#[derive(Serialize, Object)]
pub struct AccountStatusView {
    status: AccountStatus,
}

#[derive(Object)]
pub struct AccountStatusRequest {
    status: AccountStatus,
}

impl Readable for AccountStatusRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { status: fields.required("status", fields::choice)? })
    }
}

#[OpenApi]
impl AccountStatusApi {
    /// Suspend or ban a patient's account, or let it in again
    ///
    /// Every session ends at once. The tag is the patient's; visits stand.
    #[oai(
        path = "/patients/:id/account-status",
        method = "patch",
        operation_id = "setPatientAccountStatus"
    )]
    async fn set(
        &self,
        who: May<WriteStaff>,
        clinic: Here,
        caller: Anybody,
        id: Path<PatientId>,
        if_match: IfMatch,
        body: Input<AccountStatusRequest>,
    ) -> Result<Stored<AccountStatusView>, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let version: Option<i64> = sqlx::query_scalar(
            "select version from patients where id = $1 and deleted_at is null for no key update",
        )
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await?;
        let version = version.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(version))?;
        let status = body.read()?.status;
        // Who never signed in has no account yet, and is not to get one that lets in.
        let account = store::put_account(&mut tx, id.0).await?;
        sqlx::query(
            "update users set status = $2, version = version + 1, updated_at = now()
             where id = $1 and status <> $2",
        )
        .bind(account)
        .bind(status.as_str())
        .execute(&mut *tx)
        .await?;
        if status != AccountStatus::Active {
            sessions::end_all(&mut tx, account, status.as_str()).await?;
        }
        let act = Act::new("account.status_changed", "account", account).about(id.0);
        audit::record(&mut tx, act.details(json!({ "to": status.as_str() }))).await?;
        tx.commit().await?;
        caller.sessions.changed(&clinic.realm).await;
        Ok(Stored { view: AccountStatusView { status }, etag: ETag(version) })
    }
}
