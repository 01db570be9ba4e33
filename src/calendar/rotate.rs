//! Another address for a feed: the one before is dead at once, on every instance, for each fetch asks which one is good.

use serde_json::json;

use super::store;
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::ids::AccountId;

/// Gives an account's feed another address; the number of the new one.
pub async fn rotate(tx: &mut Tx, account: AccountId, patient_names: bool) -> sqlx::Result<i32> {
    let generation = store::next_generation(tx, account, patient_names).await?;
    let act = Act::new("calendar_feed.rotated", "calendar_feed", account);
    audit::record(tx, act.details(json!({ "patient_names": patient_names }))).await?;
    Ok(generation)
}
