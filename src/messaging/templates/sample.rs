//! What previews and checks are filled in with: invented people, with names in the script of the language.

use chrono_tz::Tz;

use super::language::Language;
use super::words::About;
use crate::messaging::facts::{Facts, Recipient, Values, Visit};
use crate::messaging::kind::Kind;

struct Cast {
    patient: &'static str,
    doctor: &'static str,
    location: &'static str,
    address: &'static str,
}

fn cast(language: Language) -> Cast {
    match language {
        Language::En => Cast {
            patient: "Lakshmi Menon",
            doctor: "Dr. Anand Varma",
            location: "MG Road",
            address: "12 MG Road, Kochi 682016",
        },
        Language::Hi => Cast {
            patient: "लक्ष्मी शर्मा",
            doctor: "डॉ. आनंद वर्मा",
            location: "सिविल लाइंस",
            address: "12 सिविल लाइंस, जयपुर 302006",
        },
        Language::Mr => Cast {
            patient: "लक्ष्मी देशपांडे",
            doctor: "डॉ. आनंद कुलकर्णी",
            location: "डेक्कन",
            address: "12 कर्वे रस्ता, पुणे 411004",
        },
        Language::Ml => Cast {
            patient: "ലക്ഷ്മി മേനോൻ",
            doctor: "ഡോ. ആനന്ദ് വർമ്മ",
            location: "എം.ജി. റോഡ്",
            address: "12 എം.ജി. റോഡ്, കൊച്ചി 682016",
        },
    }
}

/// Facts of nobody, for a kind in a language.
pub fn facts(kind: Kind, language: Language, about: &About, zone: Tz) -> Facts {
    let Cast { patient, doctor, location, address } = cast(language);
    let at = |text: &str| text.parse().expect("an instant of ours");
    let replies = kind.asks_for_a_reply();
    let values = match kind {
        Kind::SignInCode | Kind::RegisterCode => Values::Code { code: "482913".into(), minutes: 5 },
        Kind::Invited | Kind::PasswordReset | Kind::EmailVerification => {
            let page = match kind {
                Kind::Invited => "set-password",
                Kind::PasswordReset => "reset-password",
                _ => "verify-email",
            };
            let scheme = if about.is_https { "https" } else { "http" };
            let url = format!("{scheme}://{}/{page}?token=a-token-that-opens-nothing", about.host);
            Values::Link { url: url.into(), until: at("2026-11-26T05:00:00Z") }
        }
        _ if kind.is_notice() => Values::Notice { at: at("2026-11-23T05:00:00Z") },
        _ => {
            let visit = Visit {
                number: "A-000042".into(),
                starts_at: at("2026-11-23T05:00:00Z"),
                zone,
                patient: patient.into(),
                doctor: doctor.into(),
                location: location.into(),
                address: address.into(),
                phone: Some("+914842345678".into()),
                respond_url: replies.then(|| {
                    let scheme = if about.is_https { "https" } else { "http" };
                    format!("{scheme}://{}/respond/a-token-that-opens-nothing", about.host)
                }),
            };
            match kind {
                Kind::Offered | Kind::OfferOver => {
                    Values::Offer { visit, until: at("2026-11-22T06:00:00Z") }
                }
                _ => Values::Visit(visit),
            }
        }
    };
    Facts {
        kind,
        recipient: Recipient {
            patient_id: None,
            user_id: None,
            name: patient.into(),
            phone: Some("+919847012345".into()),
            email: Some("lakshmi@mail.example".into()),
            language: Some(language.as_str().into()),
            time_zone: zone,
        },
        values,
        channels: Vec::new(),
        replies: Vec::new(),
        unsubscribe: None,
        written_at: at("2026-11-22T05:00:00Z"),
    }
}
