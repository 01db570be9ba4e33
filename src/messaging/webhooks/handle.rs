//! What becomes of a piece of news: stored in the request that brought it, together with a hint, so that a crash loses none;
//! worked on right after the answer, and again when a worker looks at the clinic.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::audit::{self, Act, Actor};
use crate::db::Tx;
use crate::error::Problem;
use crate::ids::MessageId;
use crate::messaging::channels::{Channel, Reported};
use crate::messaging::settings::{Setup, Setups};
use crate::messaging::webhooks::event::Event;
use crate::messaging::webhooks::store;
use crate::metrics;
use crate::respond::{Found, Press, Pressed};
use crate::tenancy::Clinic;

/// A receipt may come before our own record of the call that it is about: asked again after so long.
const TOO_EARLY: [Duration; 4] = [
    Duration::from_millis(300),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

/// Takes in what providers tell.
pub struct Inbound {
    setups: Arc<Setups>,
}

fn place(provider: &str, key: &str) -> String {
    format!("inbound_events.body:{provider}:{key}")
}

impl Inbound {
    pub fn new(setups: Arc<Setups>) -> Self {
        Self { setups }
    }

    pub(super) async fn setup(&self, clinic: &Clinic) -> Result<Arc<Setup>, Problem> {
        if let Some(setup) = self.setups.known(clinic).await {
            return Ok(setup);
        }
        Ok(self.setups.of(clinic, &mut clinic.read().await?).await?)
    }

    /// Stores what is new, with a hint; the work begins after that.
    pub(super) async fn take(
        self: &Arc<Self>,
        clinic: &Arc<Clinic>,
        provider: &'static str,
        events: Vec<(String, Event)>,
    ) -> Result<(), Problem> {
        if events.is_empty() {
            return Ok(());
        }
        let (mut keys, mut bodies) = (Vec::new(), Vec::new());
        for (key, event) in &events {
            let plain = serde_json::to_vec(event).map_err(Problem::internal)?;
            bodies.push(clinic.keys.fields.seal(&place(provider, key), &plain));
            keys.push(key.clone());
        }
        let mut tx = clinic.begin_telling(Actor::platform(), &[]).await?;
        let mut new: HashSet<String> =
            store::keep(&mut tx, provider, &keys, &bodies).await?.into_iter().collect();
        tx.commit().await?;
        let mut fresh = Vec::new();
        for (key, event) in events {
            let is_new = new.remove(&key); // once, though a delivery may name it twice
            let word = if is_new { "taken" } else { "repeated" };
            metrics::WEBHOOKS.with_label_values(&[provider, word]).inc();
            if is_new {
                fresh.push((key, event));
            }
        }
        let (inbound, clinic) = (self.clone(), clinic.clone());
        tokio::spawn(async move {
            for (key, event) in fresh {
                inbound.work_on(&clinic, provider, key, event).await;
            }
        });
        Ok(())
    }

    async fn work_on(
        self: &Arc<Self>,
        clinic: &Arc<Clinic>,
        provider: &'static str,
        key: String,
        event: Event,
    ) {
        if handle(clinic, provider, &key, &event).await.is_ok_and(|found| found) {
            return;
        }
        let clinic = clinic.clone();
        tokio::spawn(async move {
            for pause in TOO_EARLY {
                tokio::time::sleep(pause).await;
                if handle(&clinic, provider, &key, &event).await.is_ok_and(|found| found) {
                    return;
                }
            }
        });
    }

    /// Works on what another process left, or what came too early. What still is about nothing after an hour is given up,
    /// having been looked at once more.
    pub async fn handle_what_is_left(&self, clinic: &Clinic) {
        let mut last = None;
        loop {
            let page = async {
                Ok::<_, Problem>(store::open(&mut clinic.read().await?, last.as_ref()).await?)
            };
            let page = match page.await {
                Ok(page) => page,
                Err(problem) => {
                    return tracing::debug!(clinic = %clinic.slug, %problem, "no look at news");
                }
            };
            for open in &page {
                if let Err(problem) = look_again(clinic, open).await {
                    tracing::warn!(clinic = %clinic.slug, %problem, "news could not be worked on");
                }
            }
            if page.len() < store::PAGE {
                return;
            }
            last = page.into_iter().last();
        }
    }
}

async fn look_again(clinic: &Clinic, open: &store::Open) -> Result<(), Problem> {
    let store::Open { provider, event_key: key, body_cipher, is_old, .. } = open;
    let plain = clinic.keys.fields.open(&place(provider, key), body_cipher).ok();
    let found = match plain.and_then(|plain| serde_json::from_slice::<Event>(&plain).ok()) {
        Some(event) => handle(clinic, provider, key, &event).await?,
        None => {
            tracing::error!(clinic = %clinic.slug, provider, "a stored event does not open");
            false
        }
    };
    if *is_old && !found {
        store::give_up(clinic.read().await?.never_repeat(), provider, key).await?;
    }
    Ok(())
}

/// True once there is nothing more to do about it.
async fn handle(
    clinic: &Clinic,
    provider: &str,
    key: &str,
    event: &Event,
) -> Result<bool, Problem> {
    if let Event::Pressed { payload, .. } = event {
        return pressed(clinic, provider, key, payload).await;
    }
    // Before anything is opened: to begin to tell is a hint, a hint is a look, and a look comes here again.
    if !store::is_known(&mut clinic.read().await?, provider, event).await? {
        return Ok(false);
    }
    let mut tx = match event.may_tell() {
        true => clinic.begin_telling(Actor::platform(), &[]).await?,
        false => clinic.begin(Actor::platform()).await?,
    };
    if !store::lock(&mut tx, provider, key).await? {
        return Ok(true);
    }
    let (done, as_what) = match event {
        Event::Receipt { provider_id, to, status, error, class, shun_seconds, .. } => {
            let Some(attempt) = store::attempt(&mut tx, provider, provider_id).await? else {
                return Ok(false);
            };
            let store::Attempt { id, n, channel, status: before, phone } = attempt;
            if is_about_another(&channel, to.as_deref(), phone.as_deref()) {
                (true, "about another number")
            } else if before.is_some_and(|before| before >= *status) {
                (true, "too late") // up only: what came before is no news
            } else {
                store::report(&mut tx, id, n, *status, event).await?;
                match status {
                    Reported::Sent => {}
                    Reported::Delivered => {
                        store::arrived(&mut tx, id, "delivered", &channel).await?
                    }
                    Reported::Read => store::arrived(&mut tx, id, "read", &channel).await?,
                    Reported::Failed => {
                        let (class, error) = (class.as_deref(), error.as_deref());
                        let waiting = store::came_back(&mut tx, id, &channel, class, error).await?;
                        note(&mut tx, MessageId(id), waiting);
                    }
                }
                if let (Some(seconds), Some(to), Some(channel)) =
                    (shun_seconds, to, Channel::named(&channel))
                {
                    let lasts = Some(*seconds).filter(|s| *s > 0).map(Duration::from_secs);
                    let (address, why) = (format!("+{to}"), error.clone().unwrap_or_default());
                    crate::messaging::store::shun(&mut tx, channel, &address, &why, lasts).await?;
                }
                metrics::RECEIPTS.with_label_values(&[&channel, word(*status)]).inc();
                (true, "receipt")
            }
        }
        Event::Pressed { .. } => return Ok(true), // above
        Event::OptOut { from } => {
            let phone = format!("+{}", from.trim_start_matches('+'));
            let (channel, granted) = (Channel::Whatsapp, false);
            for said in store::opt_out(&mut tx, &phone, channel).await? {
                let details = json!({ "kind": said.kind, "channel": channel, "granted": granted });
                let act = Act::new("consent.noted", "consent", said.id).about(said.patient_id);
                audit::record(&mut tx, act.details(details)).await?;
            }
            (true, "opt-out")
        }
        Event::Wrote => (true, "a text that nobody reads here"),
        Event::Bounced { address, reason } => {
            crate::messaging::store::shun(&mut tx, Channel::Email, address, reason, None).await?;
            (true, "bounce")
        }
        Event::Returned { message, address, status, dead } => {
            let Some((n, before)) = store::letter(&mut tx, *message).await? else {
                return Ok(false);
            };
            if *dead {
                let (email, why) = (Channel::Email, format!("it came back: {status}"));
                crate::messaging::store::shun(&mut tx, email, address, &why, None).await?;
            } else {
                store::count_return(&mut tx, *message, address).await?;
            }
            if before.is_some_and(|before| before >= Reported::Failed) {
                (true, "too late")
            } else {
                store::report(&mut tx, message.0, n, Reported::Failed, event).await?;
                let error = format!("the letter came back: {status}");
                let class = Some("recipient");
                let waiting =
                    store::came_back(&mut tx, message.0, "email", class, Some(&error)).await?;
                note(&mut tx, *message, waiting);
                metrics::RECEIPTS.with_label_values(&["email", "failed"]).inc();
                (true, "return")
            }
        }
    };
    store::handled(&mut *tx, provider, key, done, as_what).await?;
    tx.commit().await?;
    Ok(true)
}

/// The next channel has its turn at once; a code waits behind nothing else, as when it was asked for.
fn note(tx: &mut Tx, message: MessageId, waiting: Option<store::Waiting>) {
    match waiting {
        Some(store::Waiting { is_code: true, .. }) => tx.note_code(message),
        Some(_) => tx.note_message(message),
        None => {}
    }
}

/// An SMS provider that signs nothing has to know the number beside the message. Numbers on WhatsApp may differ from those asked
/// for, and its reports are signed.
fn is_about_another(channel: &str, reported: Option<&str>, known: Option<&str>) -> bool {
    let digits = |number: &str| number.trim_start_matches('+').to_owned();
    match (channel, reported, known) {
        ("sms", Some(reported), Some(known)) => digits(reported) != digits(known),
        _ => false,
    }
}

/// A button: worked on in the transaction that also says so, hence once.
async fn pressed(
    clinic: &Clinic,
    provider: &str,
    key: &str,
    payload: &str,
) -> Result<bool, Problem> {
    let press = Press::read(&clinic.keys, payload);
    let found = match &press {
        Some(press) => press.find(&mut clinic.read().await?).await?,
        None => None,
    };
    let subjects = found.as_ref().map(Found::locks).unwrap_or_default();
    let mut tx = clinic.begin_telling(Press::actor(), &subjects).await?;
    if !store::lock(&mut tx, provider, key).await? {
        return Ok(true);
    }
    let as_what = match (press, found) {
        (Some(press), Some(found)) => match press.act(&mut tx, &found, key).await? {
            Pressed::Done => "a reply",
            Pressed::AlreadySo => "a reply that changed nothing",
            Pressed::InVain => "a reply that came too late",
            Pressed::Again => return Ok(false),
        },
        _ => "a button that is not ours",
    };
    store::handled(&mut *tx, provider, key, true, as_what).await?;
    tx.commit().await?;
    Ok(true)
}

fn word(status: Reported) -> &'static str {
    match status {
        Reported::Sent => "sent",
        Reported::Failed => "failed",
        Reported::Delivered => "delivered",
        Reported::Read => "read",
    }
}
