//! The channels' clients against providers that answer, refuse and fail as the real ones do.

mod email;
mod limits;
mod signatures;
mod sms;
mod tls;
mod webhooks;
mod whatsapp;
mod wire;

use std::time::Duration;

use nadi::ids::{ClinicId, MessageId};
use nadi::messaging::channels::guard::AllowList;
use nadi::messaging::channels::http::{Http, Limits};
use nadi::messaging::channels::{Lane, Outgoing, whatsapp as client};
use nadi::time::Clock;

use crate::support::providers::{PHONE, ProviderServer, TOKEN};

pub const TO: &str = "+919876543210";
pub const DIGITS: &str = "919876543210";
pub const CODE: &str = "048291";

/// One with the limits of the product, but less patience.
fn http() -> Http {
    http_with(Limits {
        first_byte: Duration::from_secs(1),
        total: Duration::from_secs(2),
        ..Limits::default()
    })
}

fn http_with(limits: Limits) -> Http {
    Http::new(limits, AllowList::new(["127.0.0.1"]).unwrap(), Clock::system()).unwrap()
}

fn outgoing<Content>(content: Content) -> Outgoing<Content> {
    outgoing_to(TO, content)
}

fn outgoing_to<Content>(to: &str, content: Content) -> Outgoing<Content> {
    Outgoing {
        clinic_id: ClinicId::new(),
        message_id: MessageId::new(),
        to: to.to_owned(),
        lane: Lane::Others,
        time_left: Duration::from_secs(300),
        content,
    }
}

fn account(server: &ProviderServer) -> client::Account {
    client::Account {
        base: server.url().parse().unwrap(),
        version: "v23.0".into(),
        phone_number_id: PHONE.into(),
        token: TOKEN.into(),
    }
}

fn code() -> client::Content {
    client::Content::Code { template: "nadi_otp".into(), language: "hi".into(), code: CODE.into() }
}

/// Nothing that may reach a log or a row tells a secret, a code or a number.
fn assert_discreet(told: &impl std::fmt::Debug) {
    let told = format!("{told:?}");
    for secret in [TOKEN, CODE, "482913", DIGITS, "9876543210"] {
        assert!(!told.contains(secret), "{told} tells {secret}");
    }
}
