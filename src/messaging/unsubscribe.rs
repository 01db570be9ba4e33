//! One click takes a reader off a kind of e-mail (RFC 8058): without a sign-in, and for that kind by e-mail alone. The address
//! carries its own proof, so that nothing is kept of links that nobody uses; to look at it changes nothing.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use html_escape::encode_text as escaped;
use poem::endpoint::make;
use poem::{IntoResponse, Request, Response, Route};
use serde_json::json;
use subtle::ConstantTimeEq;
use url::Url;
use uuid::Uuid;

use super::channels::Channel;
use super::channels::email::Unsubscribe;
use super::consents::{self, ConsentKind, Said};
use super::kind::Kind;
use super::policy::Class;
use super::templates::Language;
use crate::audit::{self, Act, Actor};
use crate::crypto::{self, ClinicKeys};
use crate::error::Problem;
use crate::http::context::Context;
use crate::http::site;
use crate::ids::PatientId;
use crate::tenancy::Clinic;

const PROOF: usize = 16;

/// What a letter of this kind offers its reader, if it is one that can be refused. (A receipt is its payer's.)
pub fn offered(clinic: &Clinic, kind: Kind, patient: Option<PatientId>) -> Option<Url> {
    let class = Class::of(kind);
    let consent = class.consent().filter(|_| class != Class::Receipt)?;
    let token = token(&clinic.keys, patient?, consent);
    let url = Url::parse(&format!("{}/unsubscribe/{token}", clinic.url)).ok()?;
    Unsubscribe::may_be_at(&url).then_some(url)
}

/// The line above a letter's link.
pub fn line(language: Language) -> &'static str {
    match language {
        Language::En => "No more such e-mails? One click:",
        Language::Hi => "ऐसे ई-मेल और नहीं चाहिए? एक क्लिक:",
        Language::Mr => "असे ई-मेल नको आहेत? एक क्लिक:",
        Language::Ml => "ഇത്തരം ഇ-മെയിലുകൾ വേണ്ടേ? ഒറ്റ ക്ലിക്ക്:",
    }
}

fn proof(keys: &ClinicKeys, patient: PatientId, kind: ConsentKind) -> [u8; PROOF] {
    let told = format!("unsubscribe\n{}\n{}", patient.0, kind.as_str());
    let proof = crypto::mac(&keys.letters, told.as_bytes());
    proof[..PROOF].try_into().expect("a MAC is longer")
}

fn token(keys: &ClinicKeys, patient: PatientId, kind: ConsentKind) -> String {
    let at = ConsentKind::ALL.iter().position(|one| *one == kind).expect("all are there") as u8;
    let parts = [patient.0.as_bytes().as_slice(), &[at], &proof(keys, patient, kind)];
    URL_SAFE_NO_PAD.encode(parts.concat())
}

fn read(keys: &ClinicKeys, token: &str) -> Option<(PatientId, ConsentKind)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (patient, rest) = bytes.split_first_chunk::<16>()?;
    let (at, given) = rest.split_first()?;
    let kind = *ConsentKind::ALL.get(usize::from(*at))?;
    let patient = PatientId(Uuid::from_bytes(*patient));
    bool::from(proof(keys, patient, kind).ct_eq(given)).then_some((patient, kind))
}

/// The page that a letter's link leads to, below a clinic's host.
pub fn routes(route: Route) -> Route {
    let answered = |answer: Result<Response, Problem>| {
        Ok(answer.unwrap_or_else(IntoResponse::into_response)) as poem::Result<Response>
    };
    route.at(
        "/unsubscribe/:token",
        poem::get(make(move |request| async move { answered(ask(&request).await) }))
            .post(make(move |request| async move { answered(act(&request).await) })),
    )
}

struct Asked {
    clinic: Arc<Clinic>,
    patient: PatientId,
    kind: ConsentKind,
}

fn asked(request: &Request) -> Result<Asked, Problem> {
    let clinic = Context::of(request).clinic.clone().ok_or_else(Problem::not_found)?;
    let token = request.raw_path_param("token").unwrap_or_default();
    let (patient, kind) = read(&clinic.keys, token).ok_or_else(Problem::not_found)?;
    Ok(Asked { clinic, patient, kind })
}

/// Mail programs and their guards open links by themselves: this changes nothing.
async fn ask(request: &Request) -> Result<Response, Problem> {
    let asked = asked(request)?;
    let words = words(asked.language().await?);
    let form = format!(
        "<p class=\"lead\">{}</p>\n<form method=\"post\">\n\
         <input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\n<button>{}</button>\n</form>",
        escaped(asked.kind_in(&words)),
        escaped(words.button)
    );
    Ok(asked.page(&words, &form))
}

/// From the page's button, or from a mail program's.
async fn act(request: &Request) -> Result<Response, Problem> {
    let asked = asked(request)?;
    let words = words(asked.language().await?);
    let context = Context::of(request);
    let actor = Actor {
        address: context.address,
        request_id: Some(context.request_id.clone()),
        ..Actor::default()
    };
    let mut tx = asked.clinic.begin(actor).await?;
    if consents::would_hear(&mut tx, asked.patient, asked.kind, Channel::Email).await? {
        let (kind, channel) = (asked.kind, Some(Channel::Email));
        let text_version = env!("CARGO_PKG_VERSION");
        let said = Said { kind, channel, granted: false, text_version, source: "unsubscribe" };
        let consent = consents::note(&mut tx, asked.patient, said).await?;
        let act = Act::new("consent.noted", "consent", consent.id)
            .about(asked.patient)
            .details(json!({ "kind": kind, "channel": channel, "granted": false }));
        audit::record(&mut tx, act).await?;
        tx.commit().await?;
    }
    Ok(asked.page(&words, &format!("<p class=\"lead\" role=\"status\">{}</p>", words.done)))
}

impl Asked {
    /// The reader's; of somebody who is gone, the clinic's.
    async fn language(&self) -> Result<Language, Problem> {
        let mut conn = self.clinic.read().await?;
        let own = consents::language_of(&mut conn, self.patient).await?;
        Ok(Language::chosen(own.as_deref(), &self.clinic.language))
    }

    fn kind_in<'a>(&self, words: &'a Words) -> &'a str {
        match self.kind {
            ConsentKind::Service => words.service,
            ConsentKind::Reminders => words.reminders,
            ConsentKind::Marketing => words.marketing,
        }
    }

    fn page(&self, words: &Words, inner: &str) -> Response {
        let name = &self.clinic.name;
        let body = format!("<h1>{}</h1>\n{inner}", escaped(name));
        site::page_in(words.language.as_str(), name, &body)
    }
}

/// What the page says.
struct Words {
    language: Language,
    service: &'static str,
    reminders: &'static str,
    marketing: &'static str,
    button: &'static str,
    done: &'static str,
}

fn words(language: Language) -> Words {
    match language {
        Language::En => Words {
            language,
            service: "E-mails about your appointments",
            reminders: "E-mails that remind you of appointments",
            marketing: "E-mails with advice",
            button: "Send me no more of these",
            done: "Done. You will get no more of these by e-mail. All else stays as it was.",
        },
        Language::Hi => Words {
            language,
            service: "आपके अपॉइंटमेंट के बारे में ई-मेल",
            reminders: "अपॉइंटमेंट याद दिलाने वाले ई-मेल",
            marketing: "सलाह के ई-मेल",
            button: "ये ई-मेल अब न भेजें",
            done: "हो गया। ये ई-मेल अब नहीं आएँगे। बाकी सब पहले जैसा है।",
        },
        Language::Mr => Words {
            language,
            service: "तुमच्या अपॉइंटमेंटबद्दलचे ई-मेल",
            reminders: "अपॉइंटमेंटची आठवण करून देणारे ई-मेल",
            marketing: "सल्ल्याचे ई-मेल",
            button: "हे ई-मेल आता पाठवू नका",
            done: "झाले. हे ई-मेल आता येणार नाहीत. बाकी सर्व पूर्वीप्रमाणे आहे.",
        },
        Language::Ml => Words {
            language,
            service: "നിങ്ങളുടെ അപ്പോയിന്റ്മെന്റുകളെക്കുറിച്ചുള്ള ഇ-മെയിലുകൾ",
            reminders: "അപ്പോയിന്റ്മെന്റ് ഓർമ്മിപ്പിക്കുന്ന ഇ-മെയിലുകൾ",
            marketing: "ഉപദേശങ്ങളുള്ള ഇ-മെയിലുകൾ",
            button: "ഇവ ഇനി അയയ്ക്കരുത്",
            done: "കഴിഞ്ഞു. ഈ ഇ-മെയിലുകൾ ഇനി വരില്ല. മറ്റെല്ലാം പഴയപോലെ തുടരും.",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RootKey;

    #[test]
    fn a_link_is_good_for_its_patient_kind_and_clinic_alone() {
        let (here, elsewhere) = (RootKey::generate(), RootKey::generate());
        let (here, elsewhere) = (ClinicKeys::derive(&here), ClinicKeys::derive(&elsewhere));
        let patient = PatientId::new();

        for kind in ConsentKind::ALL {
            let token = token(&here, patient, kind);

            assert_eq!(read(&here, &token), Some((patient, kind)));
            assert_eq!(read(&elsewhere, &token), None);
            let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 1;
                assert_eq!(read(&here, &URL_SAFE_NO_PAD.encode(&other)), None, "byte {at}");
            }
            assert_eq!(read(&here, &token[..token.len() - 2]), None);
        }
        assert_eq!(read(&here, ""), None);
    }
}
