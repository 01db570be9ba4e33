//! Who is behind an identifier once the code has proved it: patients who are here, and the one who registers.

use serde_json::json;

use super::model::{Identifier, RegisterRequest, same_name};
use super::store::{self, Person};
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::ids::{AccountId, PatientId};
use crate::patients;

/// Somebody who may be chosen.
pub struct Candidate {
    pub account: AccountId,
    pub full_name: String,
}

/// All who may sign in with an identifier, each with an account from now on.
pub async fn candidates(tx: &mut Tx, identifier: &Identifier) -> sqlx::Result<Vec<Candidate>> {
    let people = match identifier {
        Identifier::Phone(phone) => store::people_with_phone(tx, phone).await?,
        Identifier::Email(email) => store::people_with_email(tx, email).await?,
    };
    let mut candidates = Vec::new();
    for person in people.into_iter().filter(|person| person.welcome) {
        let account = account(tx, &person).await?;
        candidates.push(Candidate { account, full_name: person.full_name });
    }
    Ok(candidates)
}

/// Who registers: the patient of that phone and name, if there is one; else a new one, another of the family on a phone that is
/// known. None: that patient may not sign in, or nobody of that phone may.
pub async fn registered(tx: &mut Tx, new: &RegisterRequest) -> sqlx::Result<Option<Candidate>> {
    let people = store::people_with_phone(tx, &new.phone).await?;
    let same = people.iter().find(|person| is_same(person, new));
    if let Some(person) = same {
        let full_name = person.full_name.clone();
        return Ok(match person.welcome {
            true => Some(Candidate { account: account(tx, person).await?, full_name }),
            false => None,
        });
    }
    if !people.is_empty() && !people.iter().any(|person| person.welcome) {
        return Ok(None);
    }
    let patient = patients::insert(tx, PatientId::new(), &new.patient()).await?;
    let account = store::put_account(tx, patient.id).await?;
    let act = Act::new("patient.registered", "patient", patient.id).about(patient.id);
    audit::record(tx, act.details(json!({ "account": account }))).await?;
    Ok(Some(Candidate { account, full_name: patient.full_name }))
}

/// The same name; and the same day of birth, where both say one: father and son may share all but that.
fn is_same(person: &Person, new: &RegisterRequest) -> bool {
    let born = person.date_of_birth.zip(new.date_of_birth);
    same_name(&person.full_name, &new.full_name) && born.is_none_or(|(one, other)| one == other)
}

async fn account(tx: &mut Tx, person: &Person) -> sqlx::Result<AccountId> {
    if let Some(account) = person.account {
        return Ok(account);
    }
    let account = store::put_account(tx, person.id).await?;
    let act = Act::new("account.created", "account", account).about(person.id);
    audit::record(tx, act.details(json!({ "by": "one_time_code" }))).await?;
    Ok(account)
}
