//! Asking for a code. Known or unknown, the same statements write the same rows, and all is committed before the answer; who
//! it is for is looked up by the sender (`addressed.rs`). So the answer tells nothing, not even by its time.

use std::time::Duration;

use uuid::Uuid;

use super::model::{
    self, Channel, Identifier, LIFETIME_SECONDS, Purpose, RegisterRequest, Secret,
    TOO_SHORT_SECONDS, TRIES, wait_after,
};
use super::store::{self, Last, NewRequest, Standing};
use super::verify;
use crate::audit::Actor;
use crate::crypto;
use crate::db::Tx;
use crate::error::Problem;
use crate::http::limits::{self, Limit};
use crate::ids::{CodeRequestId, MessageId};
use crate::outbox::{self, NewMessage};
use crate::tenancy::Clinic;

const HOURLY: Limit = Limit::new("otp-hour", 5, 3600);
const DAILY: Limit = Limit::new("otp-day", 10, 24 * 3600);
const FROM_SOURCE: Limit = Limit::new("otp-address", 200, 3600);
const STRANGERS: Limit = Limit::new("otp-unknown", 10, 3600);

/// What somebody asks for.
pub struct Asked {
    pub purpose: Purpose,
    pub identifier: Identifier,
    /// By which channels it may come; empty: any.
    pub channels: Vec<Channel>,
    pub registering: Option<RegisterRequest>,
    /// A device that signed in with this identifier before: counted by itself, so that nobody locks its owner out.
    pub device: Option<Uuid>,
}

/// A code is on its way, if anybody is there.
pub struct OnItsWay {
    pub request: CodeRequestId,
    pub expires_in: i64,
    pub resend_after: i64,
}

/// Sends a code, or the one that lives once more under the same request.
///
/// # Errors
/// `429 rate-limited`, for known and unknown alike.
pub async fn ask(clinic: &Clinic, asked: &Asked, actor: Actor) -> Result<OnItsWay, Problem> {
    let identifier_mac = asked.identifier.mac(&clinic.keys, asked.device.as_ref());
    let source = source(clinic, asked, &actor).await?;
    let mut locks = vec![lock_id(&identifier_mac)];
    locks.extend(source.as_ref().map(|source| lock_id(&crypto::sha256(source.as_bytes()))));
    let mut tx = clinic.begin_telling(actor.clone(), &locks).await?;
    let standing = store::standing(&mut tx, &identifier_mac, source.as_deref()).await?;
    let last = store::last_unused(&mut tx, &identifier_mac, asked.purpose).await?;
    if let Err(limited) = refuse_what_is_too_much(&standing) {
        tx.rollback().await?;
        verify::note(clinic, actor, "code.limited", &identifier_mac).await;
        return Err(limited);
    }
    refuse_what_comes_too_soon(last.as_ref())?;
    let sending = Sending {
        clinic,
        asked,
        identifier_mac,
        subject_mac: subject_mac(clinic, asked, &identifier_mac),
        prefix_mac: asked.identifier.prefix_mac(&clinic.keys),
        source,
    };
    let sent = match last.and_then(|last| sending.living(last)) {
        Some((last, secret)) => sending.again(&mut tx, last, secret).await?,
        None => sending.first(&mut tx).await?,
    };
    tx.commit().await?;
    Ok(sent)
}

/// Where a request counts: its device, if it is one that is known; else its network, unless that is the clinic's own.
async fn source(clinic: &Clinic, asked: &Asked, actor: &Actor) -> Result<Option<String>, Problem> {
    if let Some(device) = asked.device {
        return Ok(Some(format!("device:{device}")));
    }
    let Some(address) = actor.address else { return Ok(None) };
    let Some(network) = limits::network(address) else { return Ok(None) };
    let mut conn = clinic.read().await?;
    match store::is_trusted(&mut conn, &address.to_canonical().to_string()).await? {
        true => Ok(None),
        false => Ok(Some(network.to_string())),
    }
}

fn refuse_what_is_too_much(standing: &Standing) -> Result<(), Problem> {
    let full = |count: i64, limit: &Limit| count >= i64::from(limit.quota);
    let checks = [
        (full(standing.in_day, &DAILY), &DAILY, standing.day_wait, "too many codes for today"),
        (
            full(standing.in_hour, &HOURLY),
            &HOURLY,
            standing.hour_wait,
            "too many codes for this hour",
        ),
        (
            full(standing.from_source, &FROM_SOURCE),
            &FROM_SOURCE,
            standing.source_wait,
            "too many codes were asked for from this address",
        ),
        (
            full(standing.strangers, &STRANGERS),
            &STRANGERS,
            standing.strangers_wait,
            "too many codes were asked for from this address",
        ),
    ];
    for (refused, limit, wait, detail) in checks {
        if refused {
            return Err(limit.refuse(wait.unwrap_or(60.0), detail));
        }
    }
    Ok(())
}

fn refuse_what_comes_too_soon(last: Option<&Last>) -> Result<(), Problem> {
    match last {
        Some(last) if last.resend_in > 0.0 => {
            let window = wait_after(last.sends) as u64;
            let limit = Limit { name: "otp-resend", quota: 1, window: Duration::from_secs(window) };
            Err(limit.refuse(last.resend_in, "a code was sent just now; wait a little for it"))
        }
        _ => Ok(()),
    }
}

/// Another person to be registered on the same phone is another request.
fn subject_mac(clinic: &Clinic, asked: &Asked, identifier_mac: &[u8]) -> [u8; 32] {
    let registering =
        serde_json::to_vec(&asked.registering).expect("plain fields always serialise");
    crypto::mac(&clinic.keys.blind_index, &[identifier_mac, &registering].concat())
}

fn lock_id(mac: &[u8; 32]) -> Uuid {
    Uuid::from_bytes(mac[..16].try_into().expect("sixteen of thirty-two"))
}

struct Sending<'a> {
    clinic: &'a Clinic,
    asked: &'a Asked,
    identifier_mac: [u8; 32],
    subject_mac: [u8; 32],
    prefix_mac: Option<[u8; 32]>,
    source: Option<String>,
}

impl Sending<'_> {
    /// The request that is sent again, with its secret: the same subject, guesses left, and long enough to live.
    fn living(&self, last: Last) -> Option<(Last, Secret)> {
        let lives = last.subject_mac == self.subject_mac
            && last.tries < TRIES
            && last.expires_in > TOO_SHORT_SECONDS;
        let sealed = last.payload_cipher.as_deref().filter(|_| lives)?;
        let secret = Secret::open(&self.clinic.keys, &model::place(last.id), sealed)?;
        Some((last, secret))
    }

    async fn first(&self, tx: &mut Tx) -> Result<OnItsWay, Problem> {
        let keys = &self.clinic.keys;
        let id = CodeRequestId::new();
        let secret = Secret {
            code: crypto::random_code(),
            identifier: self.asked.identifier.clone(),
            registering: self.asked.registering.clone(),
        };
        let wait_seconds = wait_after(1);
        let new = NewRequest {
            id,
            purpose: self.asked.purpose,
            identifier_mac: &self.identifier_mac,
            subject_mac: &self.subject_mac,
            code_mac: &model::code_mac(keys, id, self.asked.purpose, &secret.code),
            payload_cipher: &secret.seal(keys, &model::place(id)),
            prefix_mac: self.prefix_mac.as_ref().map(|mac| mac.as_slice()),
            source: self.source.as_deref(),
            wait_seconds,
        };
        let expires_at = store::insert(tx, &new).await?;
        self.put(tx, id, 1, &secret, expires_at).await?;
        Ok(OnItsWay { request: id, expires_in: LIFETIME_SECONDS, resend_after: wait_seconds })
    }

    async fn again(&self, tx: &mut Tx, last: Last, secret: Secret) -> Result<OnItsWay, Problem> {
        let sends = last.sends + 1;
        let wait_seconds = wait_after(sends);
        let prefix_mac = self.prefix_mac.as_ref().map(|mac| mac.as_slice());
        let source = self.source.as_deref();
        let expires_at = store::send_again(tx, last.id, prefix_mac, source, wait_seconds).await?;
        self.put(tx, last.id, sends, &secret, expires_at).await?;
        let expires_in = last.expires_in.floor() as i64;
        Ok(OnItsWay { request: last.id, expires_in, resend_after: wait_seconds })
    }

    /// The message dies with its code.
    async fn put(
        &self,
        tx: &mut Tx,
        id: CodeRequestId,
        sends: i32,
        secret: &Secret,
        expires_at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), Problem> {
        let purpose = self.asked.purpose.message();
        let dedupe_key = format!("{purpose}:{id}:{sends}");
        let sealed = secret.seal(&self.clinic.keys, &outbox::payload_place(&dedupe_key));
        let asked = &self.asked.channels;
        let channels = self.asked.identifier.channels().iter();
        let channels = channels.filter(|channel| asked.is_empty() || asked.contains(channel));
        let message = NewMessage {
            purpose,
            dedupe_key,
            subject_id: id.0,
            patient_id: None,
            user_id: None,
            payload_cipher: Some(sealed),
            channels: channels.map(|channel| channel.as_str().to_owned()).collect(),
            due_at: tx.now().min(expires_at - chrono::TimeDelta::seconds(1)),
            expires_at,
        };
        if let Some(message) = outbox::put(&mut **tx, &message).await? {
            tx.note_code(MessageId(message));
        }
        Ok(())
    }
}
