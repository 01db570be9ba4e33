//! `Idempotency-Key`: the same `POST` sent again gets the first answer again. The key commits with the change, so that a
//! crash or a refusal leaves it free; only 2xx is kept.

use std::time::Duration;

use poem::http::{Method, StatusCode};
use poem::{FromRequest, IntoResponse, Request, RequestBody, Response, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::context::Context;
use crate::crypto::SealingKey;
use crate::db::Tx;
use crate::error::{FieldError, Problem};
use crate::ids::{self, AccountId};
use crate::tenancy::Realm;
use crate::tenancy::pools::Conn;

const NAME: &str = "idempotency-key";

/// The key of a request, if it has one.
pub struct Idempotency {
    key: Option<String>,
    faults: Vec<FieldError>,
    /// An answer may hold what is shown only once, so it is kept sealed.
    sealing: SealingKey,
    method: String,
    path: String,
}

/// A key under which work is now being done: to be kept with the answer.
pub struct Kept<'k> {
    request: &'k Idempotency,
    account: AccountId,
    body_sha256: [u8; 32],
}

/// What a key leads to.
pub enum Found<'k> {
    /// Go on; keep the answer under this key, if there is one.
    New(Option<Kept<'k>>),
    /// It has been done: this was the answer.
    Done(Response),
}

#[derive(sqlx::FromRow)]
struct KeptRow {
    body_sha256: Vec<u8>,
    status: i16,
    headers: Value,
    body: Vec<u8>,
}

impl Idempotency {
    /// What the key of an operation without a body is bound to. Nothing reads a body there that would tell what is wrong with the
    /// key or the query, so it is told here.
    ///
    /// # Errors
    /// `422` for a key that is none, and for a query where there is none.
    pub fn no_body(&self) -> Result<[u8; 32], Problem> {
        match self.faults.as_slice() {
            [] => Ok(crate::crypto::sha256(b"")),
            faults => Err(Problem::invalid(faults.to_vec())),
        }
    }

    /// Looks whether this was done before, and keeps others out while it is being done.
    ///
    /// # Errors
    /// `409 idempotency-in-progress`, or `422 idempotency-key-reused` when the body is another.
    pub async fn begin(
        &self,
        tx: &mut Tx,
        account: AccountId,
        body_sha256: [u8; 32],
    ) -> Result<Found<'_>, Problem> {
        let Some(key) = &self.key else { return Ok(Found::New(None)) };
        if !self.take(tx, self.lock_key(account, key)).await? {
            return Err(in_progress());
        }
        let Some(row) = self.kept(tx, account, key).await? else {
            return Ok(Found::New(Some(Kept { request: self, account, body_sha256 })));
        };
        Conn::rollback(tx).await?; // nothing is to be done, and whoever asks again need not wait
        if row.body_sha256 == body_sha256 {
            return self.replay(account, key, row).map(Found::Done);
        }
        Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "this key was used for a request with another body",
        ))
    }

    /// The first answer, if this was done before: for what could not be asked for again, because its time has come or what it
    /// was about is gone. Everything else is [`Idempotency::begin`]'s.
    pub async fn first_answer(
        &self,
        realm: &Realm,
        account: AccountId,
        body_sha256: [u8; 32],
    ) -> Result<Option<Response>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let mut conn = realm.read().await?;
        let kept = self.kept(&mut conn, account, key).await?;
        let same = kept.filter(|row| row.body_sha256 == body_sha256);
        same.map(|row| self.replay(account, key, row)).transpose()
    }

    async fn kept(
        &self,
        conn: &mut Conn,
        account: AccountId,
        key: &str,
    ) -> sqlx::Result<Option<KeptRow>> {
        sqlx::query_as(
            "select body_sha256, status, headers, body from idempotency_keys
             where account_id = $1 and method = $2 and path = $3 and key = $4
               and created_at > now() - interval '24 hours'",
        )
        .bind(account)
        .bind(&self.method)
        .bind(&self.path)
        .bind(key)
        .fetch_optional(conn)
        .await
    }

    fn replay(&self, account: AccountId, key: &str, row: KeptRow) -> Result<Response, Problem> {
        let place = self.place(account, key);
        let body = self.sealing.open(&place, &row.body).map_err(Problem::internal)?;
        Ok(replay(row, body))
    }

    /// Keeps others out. A refusal a moment ago lets go of its lock just after its answer, so one look is not enough.
    async fn take(&self, tx: &mut Tx, lock: i64) -> sqlx::Result<bool> {
        for pause in [5, 10, 20, 40, 80, 0] {
            let free = sqlx::query_scalar("select pg_try_advisory_xact_lock($1)")
                .bind(lock)
                .fetch_one(&mut **tx)
                .await?;
            if free {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(false)
    }

    pub fn is_given(&self) -> bool {
        self.key.is_some()
    }

    /// An id that this caller's requests with this key have in common: work that cannot lie in a transaction is on record
    /// under it meanwhile. Without a key it is another each time.
    pub fn work_id(&self, account: AccountId) -> Uuid {
        match &self.key {
            Some(key) => {
                let hash = self.hash(account, key);
                uuid::Builder::from_custom_bytes(
                    hash[..16].try_into().expect("sixteen of thirty-two"),
                )
                .into_uuid()
            }
            None => ids::new_uuid(),
        }
    }

    /// Where a kept answer is bound to.
    fn place(&self, account: AccountId, key: &str) -> String {
        format!("idempotency_keys.body:{account}:{}:{}:{key}", self.method, self.path)
    }

    fn lock_key(&self, account: AccountId, key: &str) -> i64 {
        let hash = self.hash(account, key);
        i64::from_be_bytes(hash[..8].try_into().expect("eight of thirty-two"))
    }

    fn hash(&self, account: AccountId, key: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [account.0.as_bytes().as_slice(), self.method.as_bytes(), self.path.as_bytes()]
        {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(key);
        hash.finalize().into()
    }
}

impl Kept<'_> {
    /// Keeps the answer, in the change's own transaction.
    pub async fn keep(self, tx: &mut Tx, response: &mut Response) -> Result<(), Problem> {
        let body = response.take_body().into_bytes().await.map_err(Problem::internal)?;
        let key = self.request.key.as_deref().unwrap_or_default();
        let place = self.request.place(self.account, key);
        let sealed = self.request.sealing.seal(&place, &body);
        let headers: serde_json::Map<String, Value> = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.into())))
            .collect();
        sqlx::query(
            "insert into idempotency_keys (account_id, method, path, key, body_sha256, status, headers, body)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (account_id, method, path, key) do update
               set body_sha256 = $5, status = $6, headers = $7, body = $8, created_at = now()",
        )
        .bind(self.account)
        .bind(&self.request.method)
        .bind(&self.request.path)
        .bind(key)
        .bind(self.body_sha256.as_slice())
        .bind(response.status().as_u16() as i16)
        .bind(Value::Object(headers))
        .bind(sealed)
        .execute(&mut **tx)
        .await?;
        response.set_body(body);
        Ok(())
    }
}

/// The same request is being answered elsewhere.
pub fn in_progress() -> Problem {
    Problem::conflict("idempotency-in-progress", "the first request with this key is still running")
}

fn replay(row: KeptRow, body: Vec<u8>) -> Response {
    let status = StatusCode::from_u16(row.status as u16).unwrap_or(StatusCode::OK);
    let mut response = Response::builder().status(status).header("Idempotent-Replayed", "true");
    for (name, value) in row.headers.as_object().into_iter().flatten() {
        if let Some(value) = value.as_str() {
            response = response.header(name.as_str(), value);
        }
    }
    response.body(body)
}

/// The key that a request carries; `Err` for one that is none.
fn key_of(request: &Request) -> Result<Option<String>, ()> {
    let Some(value) = request.headers().get(NAME) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ())?.trim();
    let unquoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let key = unquoted.unwrap_or(text);
    let good =
        (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    good.then(|| Some(key.to_owned())).ok_or(())
}

/// What is wrong with a request's key. It is told with the faults of the body (`input.rs`), not before them.
pub fn fault(request: &Request) -> Option<FieldError> {
    let ignored = request.method() != Method::POST
        || request.original_uri().path().starts_with("/api/v1/auth/");
    let is_bad = !ignored && key_of(request).is_err();
    is_bad.then(|| {
        FieldError::outside(
            "header",
            "Idempotency-Key",
            "invalid_format",
            "1 to 255 printable characters",
        )
    })
}

impl<'a> FromRequest<'a> for Idempotency {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        let unknown_query = Context::of(request).unknown_query(request);
        Ok(Self {
            key: key_of(request).unwrap_or_default(), // a bad one is refused with the body, if there is one
            faults: fault(request).into_iter().chain(unknown_query).collect(),
            sealing: Context::of(request).realm.keys.fields.clone(),
            method: request.method().to_string(),
            path: request.original_uri().path().to_owned(),
        })
    }
}

/// Answers that are either made now or replayed.
pub enum Replayable<T> {
    Now(Response, std::marker::PhantomData<fn() -> T>),
    Replayed(Response),
}

impl<T: IntoResponse> Replayable<T> {
    /// An answer made now.
    pub fn now(answer: Response) -> Self {
        Replayable::Now(answer, std::marker::PhantomData)
    }

    /// Keeps the answer under its key if there is one, commits, and answers.
    pub async fn commit(mut tx: Tx, kept: Option<Kept<'_>>, answer: T) -> Result<Self, Problem> {
        let mut response = answer.into_response();
        if let Some(kept) = kept {
            kept.keep(&mut tx, &mut response).await?;
        }
        tx.commit().await?;
        Ok(Replayable::now(response))
    }
}

impl<T: Send> IntoResponse for Replayable<T> {
    fn into_response(self) -> Response {
        match self {
            Replayable::Now(response, _) | Replayable::Replayed(response) => response,
        }
    }
}

impl<T: poem_openapi::ApiResponse> poem_openapi::ApiResponse for Replayable<T> {
    fn meta() -> poem_openapi::registry::MetaResponses {
        T::meta()
    }

    fn register(registry: &mut poem_openapi::registry::Registry) {
        T::register(registry);
    }
}
