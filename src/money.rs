//! Money: whole minor units of a currency, never a float.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::fields::{Fault, Fields, Readable, integer, line};

/// More than any clinic asks for, and far from where sums overflow.
const MOST_MINOR: i64 = 1_000_000_000_000;

/// A price: `{ "currency": "INR", "amount_minor": 125000 }` is 1,250 rupees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Money {
    /// ISO 4217.
    pub currency: String,
    /// In paise, cents and the like.
    pub amount_minor: i64,
}

impl Readable for Money {
    fn read(fields: &mut Fields) -> Option<Self> {
        let currency = fields.required("currency", currency);
        let amount_minor = fields.required("amount_minor", integer(0, MOST_MINOR));
        Some(Self { currency: currency?, amount_minor: amount_minor? })
    }
}

fn currency(value: Value) -> Result<String, Fault> {
    let text = line(1, 16)(value)?;
    let good = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
    good.then_some(text)
        .ok_or_else(|| Fault("invalid_format", "expected a currency code such as INR".into()))
}
