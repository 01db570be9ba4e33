//! `/users`

use poem_openapi::{Object, OpenApi};

use super::account::{
    Change, Invited, NewAccount, StaffError, change_account, create_account, invite_again, refused,
};
use super::model::{
    AccountStatus, AccountView, InvitedView, MeRequest, NewUser, StaffRole, StatusRequest,
    UserRequest,
};
use super::standing::{remove_account, set_status};
use super::store::{self, Filter};
use crate::audit::Seen;
use crate::auth::may::{OwnAccount, ReadStaff, WriteStaff};
use crate::auth::{May, Role};
use crate::db::Tx;
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{self, Fields, Readable};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, NoBody, Query};
use crate::http::page::{Listing, Page};
use crate::http::path::Path;
use crate::http::payload::{Created, Done, Payload, Stored};
use crate::ids::AccountId;

/// Those who work at the clinic.
pub struct StaffApi;

/// Which accounts.
#[derive(Object)]
pub struct ListUsers {
    role: Option<StaffRole>,
    status: Option<AccountStatus>,
    /// Part of a name or of an e-mail address.
    search: Option<String>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    page: Option<Page>,
}

impl Readable for ListUsers {
    fn read(fields: &mut Fields) -> Option<Self> {
        let role = fields.optional("role", fields::choice);
        let status = fields.optional("status", fields::choice);
        let search =
            fields.optional("search", fields::line(0, 200)).filter(|text| !text.is_empty());
        let page = Some(Page::read(fields));
        Some(Self { role, status, search, limit: None, cursor: None, page })
    }
}

#[OpenApi]
impl StaffApi {
    /// List staff accounts
    #[oai(path = "/users", method = "get", operation_id = "listUsers")]
    async fn list(
        &self,
        who: May<ReadStaff>,
        clinic: Here,
        query: Query<ListUsers>,
    ) -> Result<Payload<Listing<AccountView>>, Problem> {
        let ListUsers { role, status, search, page, .. } = query.read()?;
        let page = page.expect("read above");
        let after = page.after()?;
        let mut conn = clinic.read().await?;
        let filter = Filter { role, status, search };
        let rows = store::list(&mut conn, &filter, after, page.fetch()).await?;
        drop(conn);
        let listing = page.of(rows, |user| user.id);
        who.saw(Seen::list("account", &listing.items, |user| user.id.0)).await?;
        Ok(Payload(listing))
    }

    /// Let somebody in who works here
    ///
    /// A link to set a password goes out by mail, good for 72 hours. While the clinic has no mail provider, the answer shows it
    /// once as `set_password_url`.
    #[oai(path = "/users", method = "post", operation_id = "createUser")]
    async fn create(
        &self,
        who: May<WriteStaff>,
        clinic: Here,
        key: Idempotency,
        body: Input<NewUser>,
    ) -> Result<Replayable<Created<InvitedView>>, Problem> {
        let body_sha256 = body.sha256();
        let NewUser { full_name, role, email, phone, language } = body.read()?;
        let owner = Change { full_name, email: Some(email), phone, language };
        let mut tx = clinic.begin_telling(who.actor(), &[]).await?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let Invited { user, set_password_url } =
            create_account(&mut tx, &clinic, &NewAccount { role, owner }).await?;
        if role == StaffRole::Doctor {
            store::put_doctor(&mut tx, user.id).await?;
        }
        Replayable::commit(
            tx,
            kept,
            Created {
                etag: ETag(user.version),
                location: format!("/users/{}", user.id),
                view: InvitedView { user, set_password_url },
            },
        )
        .await
    }

    /// My own account
    #[oai(path = "/users/me", method = "get", operation_id = "getOwnUser")]
    async fn me(&self, who: May<OwnAccount>, clinic: Here) -> Result<Stored<AccountView>, Problem> {
        let mut conn = clinic.read().await?;
        let user = store::by_id(&mut conn, who.account).await?.ok_or_else(Problem::not_found)?;
        drop(conn);
        who.saw(Seen::one("account", user.id)).await?;
        Ok(Stored { etag: ETag(user.version), view: user })
    }

    /// Change my own account
    #[oai(path = "/users/me", method = "put", operation_id = "replaceOwnUser")]
    async fn replace_me(
        &self,
        who: May<OwnAccount>,
        clinic: Here,
        caller: Anybody,
        if_match: IfMatch,
        body: Input<MeRequest>,
    ) -> Result<Stored<AccountView>, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let before = store::lock(&mut tx, who.account).await?.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        // A patient's phone is changed at the desk, where it is verified.
        let kept: &[&str] = if before.is_staff() { &[] } else { &["phone"] };
        let MeRequest { full_name, phone, language } = body.read_over_keeping(&before, kept)?;
        let own = Change { full_name, email: before.email.clone(), phone, language };
        let now = clinic.clock.now();
        let after = change_account(&mut tx, &clinic, &before, &own, before.role, now).await?;
        tx.commit().await?;
        caller.sessions.changed(&clinic.realm).await;
        Ok(Stored { etag: ETag(after.version), view: after })
    }

    /// One staff account
    #[oai(path = "/users/:id", method = "get", operation_id = "getUser")]
    async fn get(
        &self,
        who: May<ReadStaff>,
        clinic: Here,
        id: Path<AccountId>,
    ) -> Result<Stored<AccountView>, Problem> {
        let mut conn = clinic.read().await?;
        let user = staff_only(store::by_id(&mut conn, id.0).await?)?;
        drop(conn);
        who.saw(Seen::one("account", user.id)).await?;
        Ok(Stored { etag: ETag(user.version), view: user })
    }

    /// Change a staff account
    ///
    /// Another role holds at once. A doctor with visits still to come stays one: `409 bookings-affected`.
    #[oai(path = "/users/:id", method = "put", operation_id = "replaceUser")]
    async fn replace(
        &self,
        who: May<WriteStaff>,
        clinic: Here,
        caller: Anybody,
        id: Path<AccountId>,
        if_match: IfMatch,
        body: Input<UserRequest>,
    ) -> Result<Stored<AccountView>, Problem> {
        let mut tx = begin_over(&clinic, &who, id.0).await?;
        let before = staff_only(store::lock(&mut tx, id.0).await?)?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let UserRequest { full_name, email, phone, language, role } = body.read_over(&before)?;
        let role = role.map_or(before.role, Role::from);
        if role != before.role {
            refuse_oneself(&who, id.0, "somebody else has to change your role")?;
        }
        let owner = Change { full_name, email: Some(email), phone, language };
        let now = clinic.clock.now();
        let after = match change_account(&mut tx, &clinic, &before, &owner, role, now).await {
            Ok(after) => after,
            Err(error) => return Err(refused(tx, &who, error).await),
        };
        tx.commit().await?;
        caller.sessions.changed(&clinic.realm).await;
        Ok(Stored { etag: ETag(after.version), view: after })
    }

    /// Send somebody the link to set a password again
    ///
    /// Links from before are void. An account that has a password, or is not active, has nothing to set: `409 conflict`. The link
    /// goes as with `POST /users`.
    #[oai(path = "/users/:id/invitation", method = "post", operation_id = "inviteUserAgain")]
    async fn invite_again(
        &self,
        who: May<WriteStaff>,
        clinic: Here,
        id: Path<AccountId>,
        key: Idempotency,
    ) -> Result<Replayable<Payload<InvitedView>>, Problem> {
        let mut tx = begin_over(&clinic, &who, id.0).await?;
        let user = staff_only(store::lock(&mut tx, id.0).await?)?;
        let kept = match key.begin(&mut tx, who.account, key.no_body()?).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let Invited { user, set_password_url } = invite_again(&mut tx, &clinic, user).await?;
        Replayable::commit(tx, kept, Payload(InvitedView { user, set_password_url })).await
    }

    /// Suspend, ban, or let in again
    ///
    /// Every session ends at once. A doctor with visits still to come: `409 bookings-affected` with the first 200 `bookings` and
    /// their `total`, unless `resolve` is `keep`.
    #[oai(path = "/users/:id/status", method = "patch", operation_id = "setUserStatus")]
    async fn set_status(
        &self,
        who: May<WriteStaff>,
        clinic: Here,
        caller: Anybody,
        id: Path<AccountId>,
        if_match: IfMatch,
        body: Input<StatusRequest>,
    ) -> Result<Stored<AccountView>, Problem> {
        let mut tx = begin_over_quietly(&clinic, &who, id.0).await?;
        let before = staff_only(store::lock(&mut tx, id.0).await?)?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let StatusRequest { status, resolve } = body.read()?;
        if status != AccountStatus::Active {
            refuse_oneself(&who, id.0, "somebody else has to suspend you")?;
        }
        let now = clinic.clock.now();
        let after = match set_status(&mut tx, &before, status, resolve, now).await {
            Ok(after) => after,
            Err(error) => return Err(refused(tx, &who, error).await),
        };
        tx.commit().await?;
        caller.sessions.changed(&clinic.realm).await;
        Ok(Stored { etag: ETag(after.version), view: after })
    }

    /// Remove a staff account
    ///
    /// What they did here stays on record. A doctor with visits still to come stays: `409 bookings-affected`.
    #[oai(path = "/users/:id", method = "delete", operation_id = "deleteUser")]
    async fn delete(
        &self,
        who: May<WriteStaff>,
        clinic: Here,
        caller: Anybody,
        id: Path<AccountId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        let mut tx = begin_over_quietly(&clinic, &who, id.0).await?;
        let before = staff_only(store::lock(&mut tx, id.0).await?)?;
        if_match.honour(ETag(before.version))?;
        nothing.read()?;
        refuse_oneself(&who, id.0, "somebody else has to remove you")?;
        if let Err(error) = remove_account(&mut tx, &before, clinic.clock.now()).await {
            return Err(refused(tx, &who, error).await);
        }
        tx.commit().await?;
        caller.sessions.changed(&clinic.realm).await;
        Ok(Done)
    }
}

/// Opens a change of somebody's account, with his lock and the admin's own: of two admins who suspend each other at the
/// same moment the second finds that he is none any more, and the clinic keeps one.
pub(super) async fn begin_over(
    clinic: &Here,
    who: &May<WriteStaff>,
    id: AccountId,
) -> Result<Tx, Problem> {
    still_admin(clinic.begin_telling(who.actor(), &[id.0, who.account.0]).await?, who).await
}

/// As [`begin_over`], for a change that nobody is told of.
async fn begin_over_quietly(
    clinic: &Here,
    who: &May<WriteStaff>,
    id: AccountId,
) -> Result<Tx, Problem> {
    still_admin(clinic.begin_locking(who.actor(), &[id.0, who.account.0]).await?, who).await
}

async fn still_admin(mut tx: Tx, who: &May<WriteStaff>) -> Result<Tx, Problem> {
    match store::is_active_admin(&mut tx, who.account).await? {
        true => Ok(tx),
        false => Err(Problem::forbidden()),
    }
}

/// Accounts of patients are not there: they belong to the patients.
pub(super) fn staff_only(user: Option<AccountView>) -> Result<AccountView, Problem> {
    user.filter(AccountView::is_staff).ok_or_else(Problem::not_found)
}

pub(super) fn refuse_oneself(
    who: &May<WriteStaff>,
    id: AccountId,
    words: &'static str,
) -> Result<(), StaffError> {
    if who.account == id { Err(StaffError::Oneself(words)) } else { Ok(()) }
}
