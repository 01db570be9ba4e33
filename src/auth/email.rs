//! `/auth/verify-email`: staff prove that their address is theirs. Clinics' hosts alone: the platform sends no mail. (Patients
//! prove theirs by signing in with a code.)

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::links::{self, Purpose};
use super::may::{May, ReadStaff};
use super::tries::Tries;
use crate::audit::{self, Act};
use crate::auth::passwords::link_expired;
use crate::db::Tx;
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::fields::{Fields, Readable, verbatim};
use crate::http::input::{Input, NoBody};
use crate::http::limits::Limit;
use crate::http::payload::{Accepted, Done};
use crate::ids::{AccountId, MessageId};
use crate::outbox;

/// Proving addresses.
pub struct EmailApi;

const ASKED: Limit = Limit::new("verify-email", 5, 3600);

/// A letter with a link is on its way.
#[derive(Serialize, Object)]
pub struct VerifyEmailRequested {
    /// Seconds that the link is good.
    expires_in: u64,
}

#[derive(Object)]
pub struct VerifyEmailRequest {
    /// From the link.
    token: String,
}

impl Readable for VerifyEmailRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { token: fields.required("token", verbatim(1, 500))? })
    }
}

#[OpenApi]
impl EmailApi {
    /// Have a link sent to my address
    ///
    /// It is dead once the account has another address.
    #[oai(
        path = "/auth/verify-email-request",
        method = "post",
        operation_id = "requestEmailVerification"
    )]
    async fn request(
        &self,
        who: May<ReadStaff>,
        clinic: Here,
        nothing: NoBody,
    ) -> Result<Accepted<VerifyEmailRequested>, Problem> {
        nothing.read()?;
        let words = "too many letters were asked for; look for the last one, or wait";
        let asked = Tries::of(&clinic, &ASKED, &who.account.to_string(), words);
        let mut tx = clinic.begin_telling(who.actor(), &[]).await?;
        asked.lock(&mut tx).await?;
        asked.require_one(&mut tx).await?;
        asked.note(&mut tx).await?;
        let email = email_of(&mut tx, who.account).await?.ok_or_else(Problem::not_found)?;
        let (account, purpose) = (who.account, Purpose::VerifyEmail);
        let token = links::put_for(&mut tx, Some(account), purpose, Some(&email)).await?;
        let letter = links::letter(&clinic.keys, purpose, account, &token, tx.now());
        if let Some(message) = outbox::put(&mut *tx, &letter).await? {
            tx.note_message(MessageId(message));
        }
        let act = Act::new("account.email_verification_asked", "account", who.account);
        audit::record(&mut tx, act).await?;
        tx.commit().await?;
        Ok(Accepted(VerifyEmailRequested { expires_in: purpose.lifetime().as_secs() }))
    }

    /// Prove an address with the link that was sent to it
    #[oai(path = "/auth/verify-email", method = "post", operation_id = "verifyEmail")]
    async fn verify(
        &self,
        caller: Anybody,
        clinic: Here,
        body: Input<VerifyEmailRequest>,
    ) -> Result<Done, Problem> {
        let token = body.read()?.token;
        let mut tx = clinic.begin(caller.actor()).await?;
        let Some(account) = links::use_up(&mut tx, &token, Purpose::VerifyEmail).await? else {
            tx.rollback().await?;
            links::note_refused(&clinic, caller.actor(), Purpose::VerifyEmail).await;
            return Err(link_expired());
        };
        note_verified(&mut tx, account).await?;
        audit::record(&mut tx, Act::new("account.email_verified", "account", account)).await?;
        tx.commit().await?;
        Ok(Done)
    }
}

async fn email_of(tx: &mut Tx, account: AccountId) -> sqlx::Result<Option<String>> {
    let email: Option<Option<String>> =
        sqlx::query_scalar("select email from users where id = $1 and deleted_at is null")
            .bind(account)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(email.flatten())
}

/// Using the link asked whether the address is still the account's, and holds it so.
async fn note_verified(tx: &mut Tx, account: AccountId) -> sqlx::Result<()> {
    sqlx::query(
        "update users set email_verified_at = now(), version = version + 1, updated_at = now() where id = $1",
    )
    .bind(account)
    .execute(&mut **tx)
    .await
    .map(drop)
}
