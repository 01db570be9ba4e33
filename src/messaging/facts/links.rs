//! Letters with a link that lets somebody in, or proves an address. One whose link is dead is not sent.

use super::visits::trouble;
use super::{ComposeError, Composed, Facts, Recipient, Values, opened, read};
use crate::audit::{self, Act, Actor};
use crate::auth::links::{self, Asked, Purpose};
use crate::ids::PatientId;
use crate::messaging::channels::Channel;
use crate::messaging::kind::Kind;
use crate::outbox::{self, OutboxRow};
use crate::tenancy::Clinic;

pub async fn of_link(
    clinic: &Clinic,
    kind: Kind,
    purpose: Purpose,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let payload = opened(clinic, row)?;
    let token = match serde_json::from_slice::<Asked>(&payload) {
        Ok(asked) => {
            address(clinic, row, &asked).await?;
            asked.token
        }
        Err(_) => String::from_utf8(payload).map_err(|_| ComposeError::Unreadable)?,
    };
    let owner = links::owner(&mut read(clinic).await?, &token, purpose).await?;
    let Some(owner) = owner else {
        return Ok(Composed::Needless("its link is nobody's, or no longer good"));
    };
    let url = links::url_for(&clinic.url, purpose, &token);
    Ok(Composed::Facts(Box::new(Facts {
        kind,
        recipient: Recipient {
            patient_id: row.patient_id.map(PatientId),
            user_id: Some(owner.id),
            name: owner.full_name,
            phone: None, // a link that opens an account goes to its e-mail alone
            email: owner.email,
            language: owner.language,
            time_zone: clinic.zone,
        },
        values: Values::Link { url: url.into(), until: row.expires_at },
        channels: vec![Channel::Email],
        replies: Vec::new(),
        unsubscribe: None,
        written_at: clinic.clock.now(),
    })))
}

/// Finds out who asked for a link, the first time that its letter is looked at; nobody, if nobody here may.
async fn address(clinic: &Clinic, row: &OutboxRow, asked: &Asked) -> Result<(), ComposeError> {
    let begun = clinic.begin(Actor::platform()).await;
    let mut tx = begun.map_err(|problem| trouble(problem.to_string()))?;
    let Some(account) = links::bind(&mut tx, asked).await? else {
        return Ok(tx.rollback().await?);
    };
    outbox::address(&mut *tx, row.id, account).await?;
    audit::record(&mut tx, Act::new("account.password_reset_sent", "account", account)).await?;
    Ok(tx.commit().await?)
}
