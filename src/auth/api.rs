//! `/auth`: on clinic hosts and on the platform's alike.

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::json;

use super::links::{self, Purpose};
use super::login::{self, Credentials};
use super::may::{May, OwnSession, PERMISSIONS};
use super::pair::{Tokens, UserView};
use super::passwords::link_expired;
use super::{password, refresh, store};
use crate::audit::{self, Act, Seen};
use crate::error::Problem;
use crate::http::context::{Anybody, Context};
use crate::http::fields::{Fields, Readable, line, verbatim};
use crate::http::input::{Input, NoBody};
use crate::http::page::Listing;
use crate::http::path::Path;
use crate::http::payload::{Done, Payload};
use crate::ids::{PatientId, SessionId};
use crate::time::shown;

/// Signing in and out.
pub struct AuthApi;

/// Who wants in.
#[derive(Object)]
pub struct LoginRequest {
    /// E-mail, or a phone number with its country code.
    identifier: String,
    password: String,
    /// Where the account has a second factor: a code of the app, or a recovery code.
    totp_code: Option<String>,
}

impl Readable for LoginRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let identifier = fields.required("identifier", line(1, 254));
        let password = fields.required("password", verbatim(1, 256));
        let totp_code = fields.optional("totp_code", line(1, 32));
        Some(Self { identifier: identifier?, password: password?, totp_code })
    }
}

#[derive(Object)]
pub struct RefreshRequest {
    refresh_token: String,
}

impl Readable for RefreshRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { refresh_token: fields.required("refresh_token", verbatim(1, 500))? })
    }
}

#[derive(Object)]
pub struct SetPasswordRequest {
    /// From the link.
    token: String,
    /// 10 to 256 characters of any script.
    password: String,
}

impl Readable for SetPasswordRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let token = fields.required("token", verbatim(1, 500));
        let password = fields.required("password", password::new_password);
        Some(Self { token: token?, password: password? })
    }
}

/// One of one's own sessions.
#[derive(Serialize, Object)]
pub struct SessionView {
    pub id: SessionId,
    pub device: String,
    pub address: Option<String>,
    #[serde(with = "shown")]
    pub created_at: chrono::DateTime<chrono::Utc>,
    #[serde(with = "shown")]
    pub last_seen_at: chrono::DateTime<chrono::Utc>,
    /// True for the session that asks.
    pub current: bool,
}

/// Who I am here, and what I may do.
#[derive(Serialize, Object)]
pub struct MeView {
    pub user: UserView,
    /// For a patient's account: the patient.
    pub patient_id: Option<PatientId>,
    pub permissions: Vec<String>,
}

#[OpenApi]
impl AuthApi {
    /// Sign in with a password
    ///
    /// Where the account has a second factor, the right password without one is `401 totp-required`, with a wrong one
    /// `401 totp-invalid`; after five of those in a quarter of an hour `429`.
    #[oai(path = "/auth/login", method = "post", operation_id = "login")]
    async fn login(
        &self,
        caller: Anybody,
        body: Input<LoginRequest>,
    ) -> Result<Payload<Tokens>, Problem> {
        let LoginRequest { identifier, password, totp_code: second_factor } = body.read()?;
        let device = caller.device.clone();
        let given = Credentials { identifier, password, second_factor, device };
        Ok(Payload(login::login(&caller.realm, given, caller.actor()).await?))
    }

    /// Exchange a refresh token for a new pair
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(
        &self,
        caller: Anybody,
        body: Input<RefreshRequest>,
    ) -> Result<Payload<Tokens>, Problem> {
        let token = body.read()?.refresh_token;
        let actor = caller.actor();
        Ok(Payload(
            refresh::refresh(&caller.realm, &caller.sessions, &caller.limits, &token, actor)
                .await?,
        ))
    }

    /// End this session
    ///
    /// The access token stops working before the answer.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(
        &self,
        who: May<OwnSession>,
        caller: Anybody,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        end_one(&caller.context, &who, who.session, &nothing).await?;
        Ok(Done)
    }

    /// End all my sessions
    #[oai(path = "/auth/logout-all", method = "post", operation_id = "logoutAll")]
    async fn logout_all(
        &self,
        who: May<OwnSession>,
        caller: Anybody,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        nothing.read()?;
        let mut tx = caller.realm.begin(who.actor()).await?;
        let ended = store::end_sessions(&mut tx, who.account, "logout_all").await?;
        let act = Act::new("session.all_ended", "account", who.account);
        audit::record(&mut tx, act.details(json!({ "sessions": ended }))).await?;
        tx.commit().await?;
        caller.sessions.changed(&caller.realm).await;
        Ok(Done)
    }

    /// Set a password with the link that was sent
    #[oai(path = "/auth/set-password", method = "post", operation_id = "setPassword")]
    async fn set_password(
        &self,
        caller: Anybody,
        body: Input<SetPasswordRequest>,
    ) -> Result<Done, Problem> {
        let SetPasswordRequest { token, password } = body.read()?;
        let mut conn = caller.realm.read().await?;
        if !links::is_good(&mut conn, &token, Purpose::SetPassword).await? {
            drop(conn);
            links::note_refused(&caller.realm, caller.actor(), Purpose::SetPassword).await;
            return Err(link_expired()); // before the hash: that is only for those who have a link
        }
        drop(conn);
        let hash = password::hash(caller.realm.id, password).await?;
        let mut tx = caller.realm.begin(caller.actor()).await?;
        let account = links::use_up(&mut tx, &token, Purpose::SetPassword).await?;
        let account = account.ok_or_else(link_expired)?;
        store::set_password(&mut tx, account, &hash).await?;
        links::end_all(&mut tx, account).await?;
        store::end_sessions(&mut tx, account, "password_set").await?;
        audit::record(&mut tx, Act::new("account.password_set", "account", account)).await?;
        tx.commit().await?;
        caller.sessions.changed(&caller.realm).await;
        Ok(Done)
    }

    /// My sessions
    #[oai(path = "/auth/sessions", method = "get", operation_id = "listSessions")]
    async fn sessions(
        &self,
        who: May<OwnSession>,
        caller: Anybody,
    ) -> Result<Payload<Listing<SessionView>>, Problem> {
        let mut conn = caller.realm.read().await?;
        let rows = store::sessions_of(&mut conn, who.account).await?;
        drop(conn);
        who.saw(Seen::list("session", &rows, |row| row.id.0)).await?;
        let items = rows
            .into_iter()
            .map(|row| SessionView {
                id: row.id,
                device: row.device,
                address: row.address,
                created_at: row.created_at,
                last_seen_at: row.last_seen_at,
                current: row.id == who.session,
            })
            .collect();
        Ok(Payload(Listing::whole(items)))
    }

    /// End one of my sessions
    #[oai(path = "/auth/sessions/:id", method = "delete", operation_id = "endSession")]
    async fn end_session(
        &self,
        who: May<OwnSession>,
        caller: Anybody,
        id: Path<SessionId>,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        match end_one(&caller.context, &who, id.0, &nothing).await? {
            true => Ok(Done),
            false => Err(Problem::not_found()),
        }
    }

    /// Who I am here, and what I may do
    #[oai(path = "/auth/me", method = "get", operation_id = "me")]
    async fn me(&self, who: May<OwnSession>, caller: Anybody) -> Result<Payload<MeView>, Problem> {
        let mut conn = caller.realm.read().await?;
        let account = store::account_by_id(&mut conn, who.account).await?;
        let account = account.ok_or_else(Problem::not_found)?;
        drop(conn);
        who.saw(Seen::one("account", account.id)).await?;
        let permissions = PERMISSIONS
            .iter()
            .filter(|(_, roles)| roles.contains(&who.role))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        Ok(Payload(MeView { user: (&account).into(), patient_id: who.patient, permissions }))
    }
}

async fn end_one(
    context: &Context,
    who: &May<OwnSession>,
    session: SessionId,
    nothing: &NoBody,
) -> Result<bool, Problem> {
    let mut tx = context.realm.begin(who.actor()).await?;
    let ended = store::end_session(&mut tx, who.account, session, "logout").await?;
    if ended {
        nothing.read()?;
        audit::record(&mut tx, Act::new("session.ended", "session", session)).await?;
    }
    tx.commit().await?;
    if ended {
        context.sessions.changed(&context.realm).await; // else nobody's session is another than before
    }
    Ok(ended)
}
