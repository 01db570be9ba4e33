//! What providers tell us: taken in only if it is genuine, stored once, answered at once, and worked on afterwards. News may come
//! twice, late, out of order, and before we know what it is about.

mod described;
mod event;
mod handle;
mod store;

use std::sync::Arc;

use poem::endpoint::make;
use poem::http::{StatusCode, header};
use poem::{IntoResponse, Request, Response, Route};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

pub use described::paths;
pub use handle::Inbound;

use self::event::Event;
use super::channels::returned;
use super::channels::sms::{self, msg91, twilio};
use super::channels::whatsapp::webhook;
use super::settings::Setup;
use crate::error::Problem;
use crate::http::body;
use crate::http::context::Context;
use crate::metrics;
use crate::tenancy::Clinic;

/// Larger deliveries are refused: ours are a few hundred bytes.
const LARGEST_BODY: usize = 1024 * 1024;

/// The webhooks below a clinic's host, at both places where providers may have been told that they are.
pub fn routes(mut route: Route, inbound: &Arc<Inbound>) -> Route {
    macro_rules! hears {
        ($work:expr) => {{
            let inbound = inbound.clone();
            make(move |request| {
                let inbound = inbound.clone();
                async move { answered($work(&inbound, request).await) }
            })
        }};
    }
    for base in ["/webhooks", "/api/v1/webhooks"] {
        route = route
            .at(
                format!("{base}/whatsapp"),
                poem::get(hears!(subscription)).post(hears!(of_whatsapp)),
            )
            .at(format!("{base}/sms/:provider/:key"), poem::post(hears!(of_sms)))
            .at(format!("{base}/sms/:provider"), poem::post(hears!(of_sms)))
            .at(format!("{base}/email/bounces/:key"), poem::post(hears!(of_returns)))
            .at(format!("{base}/email/:provider"), poem::post(hears!(of_email)));
    }
    route
}

fn answered(answer: Result<Response, Problem>) -> poem::Result<Response> {
    Ok(answer.unwrap_or_else(IntoResponse::into_response))
}

fn refused(provider: &str) -> Problem {
    metrics::WEBHOOKS.with_label_values(&[provider, "refused"]).inc();
    Problem::new(StatusCode::FORBIDDEN, "bad-signature", "this is not from the provider")
}

fn clinic(request: &Request) -> Result<Arc<Clinic>, Problem> {
    Context::of(request).clinic.clone().ok_or_else(Problem::not_found)
}

fn query(request: &Request, name: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let found = url::form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
    found.map(|(_, value)| value.into_owned())
}

async fn body(request: &mut Request) -> Result<Vec<u8>, Problem> {
    let body = request.take_body();
    body::whole(request.headers(), body, LARGEST_BODY, "a delivery").await
}

/// Meta asks whether the address is ours.
async fn subscription(inbound: &Arc<Inbound>, request: Request) -> Result<Response, Problem> {
    let setup = inbound.setup(&*clinic(&request)?).await?;
    let [mode, token, challenge] =
        ["hub.mode", "hub.verify_token", "hub.challenge"].map(|name| query(&request, name));
    let answer = setup.meta.as_ref().and_then(|meta| {
        webhook::challenge(
            &meta.verify_token,
            mode.as_deref(),
            token.as_deref(),
            challenge.as_deref(),
        )
    });
    match answer {
        Some(answer) => Ok(crate::http::site::text(answer)),
        None => Err(refused("whatsapp")),
    }
}

async fn of_whatsapp(inbound: &Arc<Inbound>, mut request: Request) -> Result<Response, Problem> {
    let clinic = clinic(&request)?;
    let signature = request.header("x-hub-signature-256").map(str::to_owned);
    let raw = body(&mut request).await?;
    let setup = inbound.setup(&clinic).await?;
    let meta = setup.meta.as_ref().ok_or_else(|| refused("whatsapp"))?;
    if !webhook::is_genuine(&meta.app_secret, signature.as_deref(), &raw) {
        return Err(refused("whatsapp"));
    }
    let news = webhook::read(&raw).map_err(|error| Problem::bad_request(error.to_string()))?;
    let mut events = Vec::new();
    for one in &news {
        if one.phone_number_id != meta.phone_number_id {
            // Somebody has told Meta the wrong address: nothing of it is ours to see.
            metrics::WEBHOOKS.with_label_values(&["whatsapp", "foreign"]).inc();
            metrics::ALARMS.with_label_values(&["webhook_of_another_number"]).inc();
            tracing::error!(clinic = %clinic.slug, "WhatsApp reports about another number here");
            continue;
        }
        events.push((one.event_key(), Event::of_news(&one.happened)));
    }
    inbound.take(&clinic, "whatsapp", events).await?;
    Ok(ok())
}

fn ok() -> Response {
    crate::http::site::text("ok\n")
}

/// Signed by Twilio; others know an address that nobody can guess.
async fn of_sms(inbound: &Arc<Inbound>, mut request: Request) -> Result<Response, Problem> {
    let clinic = clinic(&request)?;
    let provider = request.raw_path_param("provider").unwrap_or_default().to_owned();
    let key = request.raw_path_param("key").map(str::to_owned).or_else(|| query(&request, "key"));
    let kind = request.header(header::CONTENT_TYPE).unwrap_or_default().to_owned();
    let signature = request.header("x-twilio-signature").map(str::to_owned);
    let target =
        request.original_uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let provider = match provider.as_str() {
        "msg91" => "msg91",
        "twilio" => "twilio",
        "gateway" => "gateway",
        _ => return Err(Problem::not_found()),
    };
    let raw = body(&mut request).await?;
    let setup = inbound.setup(&clinic).await?;
    let account = setup.sms.as_ref().map(|sms| &sms.account);
    let receipts = match account {
        Some(sms::Account::Twilio(account)) if provider == "twilio" => {
            let url = format!("{}{target}", clinic.url);
            let (token, signature) = (&account.auth_token, signature.as_deref());
            let is_form = kind.starts_with("application/x-www-form-urlencoded");
            let genuine = match is_form {
                true => twilio::is_genuine(token, signature, &url, &raw),
                false => twilio::is_genuine_json(token, signature, &url, &raw),
            };
            if !genuine {
                return Err(refused(provider));
            }
            let receipt = match is_form {
                true => twilio::receipt(&raw),
                false => twilio::receipt_of_json(&raw),
            };
            receipt.into_iter().collect()
        }
        Some(account) if account.provider() == provider && knows_key(&setup, key.as_deref()) => {
            match account {
                sms::Account::Gateway(gateway) => gateway.receipts(&raw),
                _ => msg91::receipts(&kind, &raw),
            }
        }
        _ => return Err(refused(provider)),
    };
    let events = receipts.iter().map(|one| (one.event_key(), Event::of_receipt(one))).collect();
    inbound.take(&clinic, provider, events).await?;
    Ok(ok())
}

fn knows_key(setup: &Setup, key: Option<&str>) -> bool {
    let known = setup.webhook_key.expose_secret();
    !known.is_empty() && bool::from(key.unwrap_or_default().as_bytes().ct_eq(known.as_bytes()))
}

/// A list of `{to, event, id?}`; `event` is `bounced` or `complained`, others are passed over.
async fn of_email(inbound: &Arc<Inbound>, mut request: Request) -> Result<Response, Problem> {
    let clinic = clinic(&request)?;
    if request.raw_path_param("provider") != Some("generic") {
        return Err(Problem::not_found());
    }
    let key = query(&request, "key");
    let raw = body(&mut request).await?;
    if !knows_key(&*inbound.setup(&clinic).await?, key.as_deref()) {
        return Err(refused("email"));
    }
    let news: serde_json::Value = serde_json::from_slice(&raw)
        .map_err(|_| Problem::bad_request("the webhook's body is not JSON"))?;
    let events = match &news {
        serde_json::Value::Array(events) => events.as_slice(),
        event => std::slice::from_ref(event),
    };
    let events = events.iter().filter_map(Event::of_bounce).collect();
    inbound.take(&clinic, "email", events).await?;
    Ok(ok())
}

/// A letter that came back, raw, as the mail server of the clinic's bounce domain had it. `?to=` may name whom it came to.
async fn of_returns(inbound: &Arc<Inbound>, mut request: Request) -> Result<Response, Problem> {
    let clinic = clinic(&request)?;
    let key = request.raw_path_param("key").map(str::to_owned);
    let envelope_to = query(&request, "to");
    let raw = body(&mut request).await?;
    if !knows_key(&*inbound.setup(&clinic).await?, key.as_deref()) {
        return Err(refused("email"));
    }
    // Delays, notes of absence, spam: mail servers pass on whatever comes.
    let Some(report) = returned::read(&raw, envelope_to.as_deref()) else {
        metrics::WEBHOOKS.with_label_values(&["email", "foreign"]).inc();
        return Ok(ok());
    };
    let known = store::email_of(&mut clinic.read().await?, report.token.message).await?;
    let key = &clinic.keys.letters;
    let mut addresses = report.recipients.iter().chain(&known);
    let Some(address) = addresses.find(|address| report.token.is_of(key, address)).cloned() else {
        return Err(refused("email")); // forged, or of another address than we ever wrote to
    };
    let event = Event::of_return(report, address.trim().to_lowercase());
    inbound.take(&clinic, "email", vec![event]).await?;
    Ok(ok())
}
