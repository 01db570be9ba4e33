//! A piece of news, as it is kept: what happened, and nothing that anybody wrote.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::MessageId;
use crate::messaging::channels::returned::{Report, Verdict};
use crate::messaging::channels::whatsapp::webhook::{Happened, Said};
use crate::messaging::channels::{Receipt, Reported, Shun};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Receipt {
        provider_id: String,
        /// In digits.
        to: Option<String>,
        status: Reported,
        error: Option<String>,
        code: Option<String>,
        class: Option<String>,
        /// For so many seconds this number is not tried; 0: for good.
        shun_seconds: Option<u64>,
    },
    /// Somebody pressed a button of ours.
    Pressed { from: String, context_id: Option<String>, payload: String },
    /// Somebody wants no more messages.
    OptOut { from: String },
    /// Somebody wrote something else.
    Wrote,
    /// A mailbox took no letter, or its owner complained.
    Bounced { address: String, reason: String },
    /// A letter of ours came back.
    Returned {
        message: MessageId,
        /// To which it was sent.
        address: String,
        /// RFC 3463
        status: String,
        /// The address takes no mail at all.
        dead: bool,
    },
}

impl Event {
    pub fn of_receipt(receipt: &Receipt) -> Self {
        let failure = receipt.failure.as_ref();
        Event::Receipt {
            provider_id: receipt.provider_id.clone(),
            to: receipt.to.clone(),
            status: receipt.status,
            error: failure.map(ToString::to_string),
            code: failure.and_then(|failure| failure.code.clone()),
            class: failure.map(|failure| failure.class.as_str().to_owned()),
            shun_seconds: failure.and_then(|failure| failure.shun).map(|shun| match shun {
                Shun::For(lasts) => lasts.as_secs(),
                Shun::ForGood => 0,
            }),
        }
    }

    pub fn of_news(happened: &Happened) -> Self {
        match happened {
            Happened::Receipt(receipt) => Self::of_receipt(receipt),
            Happened::Message(message) if message.is_opt_out() => {
                Event::OptOut { from: message.from.clone() }
            }
            Happened::Message(message) => match &message.said {
                Said::Button { payload } => Event::Pressed {
                    from: message.from.clone(),
                    context_id: message.context_id.clone(),
                    payload: payload.clone(),
                },
                Said::Text(_) | Said::Other => Event::Wrote,
            },
        }
    }

    /// With its key: a letter comes back once, however often its report does.
    pub fn of_return(report: Report, address: String) -> (String, Self) {
        let Report { token, verdict, status, .. } = report;
        let (message, dead) = (token.message, verdict == Verdict::Dead);
        (format!("returned|{}", message.0), Event::Returned { message, address, status, dead })
    }

    /// Whether it may give another channel its turn: a message is effective earlier, and the ledger has to know.
    pub fn may_tell(&self) -> bool {
        matches!(self, Event::Receipt { status: Reported::Failed, .. } | Event::Returned { .. })
    }

    /// With its key: the same for the same news.
    pub fn of_bounce(event: &Value) -> Option<(String, Self)> {
        let address = event["to"].as_str()?.trim().to_lowercase();
        let reason =
            event["event"].as_str().filter(|event| ["bounced", "complained"].contains(event))?;
        let id = event["id"].as_str().unwrap_or_default();
        let key = format!("{reason}|{address}|{id}");
        Some((key, Event::Bounced { address, reason: reason.to_owned() }))
    }
}
