//! A phone that a family shares: the right code opens a choice of who signs in, once and for five minutes.

use poem_openapi::Object;
use serde::Serialize;

use super::people::Candidate;
use super::store;
use super::verify::{invalid, note};
use crate::audit::Actor;
use crate::auth::enter;
use crate::auth::pair::Tokens;
use crate::auth::tries::place;
use crate::crypto;
use crate::db::Tx;
use crate::error::{FieldError, Problem};
use crate::ids::{AccountId, CodeRequestId};
use crate::tenancy::Clinic;

/// Who may be chosen.
#[derive(Debug, Serialize, Object)]
pub struct Choice {
    pub choose: Vec<Member>,
    /// Good once, for five minutes, at `/auth/otp/choose`.
    pub choice_token: String,
}

/// One of a family.
#[derive(Debug, Serialize, Object)]
pub struct Member {
    pub user_id: AccountId,
    pub full_name: String,
}

/// Offers a choice. The token is kept as a hash.
pub async fn offer(
    tx: &mut Tx,
    id: CodeRequestId,
    candidates: Vec<Candidate>,
) -> sqlx::Result<Choice> {
    let accounts: Vec<AccountId> = candidates.iter().map(|candidate| candidate.account).collect();
    let choice_token = crypto::random_token();
    store::put_choice(tx, id, &crypto::sha256(choice_token.as_bytes()), &accounts).await?;
    let member = |Candidate { account, full_name }| Member { user_id: account, full_name };
    Ok(Choice { choose: candidates.into_iter().map(member).collect(), choice_token })
}

/// Signs the chosen one in.
///
/// # Errors
/// `401 otp-invalid` for a token that is used, too old or none; `422` for somebody who was not offered.
pub async fn choose(
    clinic: &Clinic,
    token: &str,
    account: AccountId,
    device: &str,
    actor: Actor,
) -> Result<Tokens, Problem> {
    let mut tx = clinic.begin(actor.clone()).await?;
    let offered = store::use_choice(&mut tx, &crypto::sha256(token.as_bytes())).await?;
    let Some(offered) = offered else {
        tx.rollback().await?;
        note(clinic, actor.clone(), "session.refused", place(actor.address).as_bytes()).await;
        return Err(invalid());
    };
    if !offered.contains(&account) {
        // Rolled back: a slip does not use the token up.
        let error = FieldError::body("/user_id", "not_found", "this one was not offered");
        return Err(Problem::invalid(vec![error]));
    }
    let tokens = match store::is_welcome(&mut tx, account).await? {
        true => enter::enter(&mut tx, &clinic.realm, account, device).await?,
        false => None,
    };
    tx.commit().await?;
    tokens.ok_or_else(invalid)
}
