//! `/auth/otp` and `/auth/register`: clinics' hosts alone.

use poem_openapi::{Object, OpenApi, Union};
use serde::Serialize;

use super::ask::{self, Asked, OnItsWay};
use super::choose::{self, Choice};
use super::device;
use super::model::{Channel, Identifier, Purpose, RegisterRequest};
use super::verify::{self, Entered};
use crate::auth::pair::Tokens;
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::fields::{self, Fields, Readable, verbatim};
use crate::http::input::Input;
use crate::http::payload::{Accepted, Payload, Remembered};
use crate::ids::{AccountId, CodeRequestId};

/// Patients' way in.
pub struct OneTimeCodesApi;

/// Who wants a code.
#[derive(Object)]
pub struct OtpRequest {
    /// A phone number (national forms are read by the clinic's country) or an e-mail address.
    identifier: String,
    /// By which ways it may come. A code for an e-mail address comes by e-mail; one for a phone by WhatsApp, SMS, or the
    /// e-mail address that the clinic has of its owner.
    channels: Option<Vec<Channel>>,
    #[oai(skip)]
    read: Option<Identifier>,
}

impl Readable for OtpRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.country().to_owned();
        let read = fields.required("identifier", Identifier::parser(&country));
        let channels: Option<Vec<Channel>> = fields.list("channels", 3, fields::choice);
        let read = read?;
        if let Some(asked) = &channels
            && !read.channels().iter().any(|channel| asked.contains(channel))
        {
            fields.fault("channels", "not_available", "no way of these reaches this identifier");
        }
        Some(Self { identifier: String::new(), channels, read: Some(read) })
    }
}

/// A code is on its way, if anybody is there.
#[derive(Serialize, Object)]
pub struct OtpRequested {
    /// The same as before, while the same code lives.
    request_id: CodeRequestId,
    /// Seconds that the code lives.
    expires_in: i64,
    /// Seconds until it may be asked for again.
    resend_after: i64,
}

impl From<OnItsWay> for OtpRequested {
    fn from(sent: OnItsWay) -> Self {
        let OnItsWay { request, expires_in, resend_after } = sent;
        Self { request_id: request, expires_in, resend_after }
    }
}

/// A guess.
#[derive(Object)]
pub struct VerifyRequest {
    request_id: CodeRequestId,
    /// Six digits.
    code: String,
}

impl Readable for VerifyRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let request_id = fields.required("request_id", fields::id);
        let code = fields.required("code", fields::line(1, 32));
        // As people copy it: `482 913`.
        let code = code.map(|code| code.replace([' ', '-'], ""));
        Some(Self { request_id: request_id?, code: code? })
    }
}

/// Tokens; or, where a family shares the phone, who may be chosen.
#[derive(Serialize, Union)]
#[serde(untagged)]
pub enum OtpVerified {
    In(Tokens),
    Choose(Choice),
}

/// Who of a family it is.
#[derive(Object)]
pub struct ChooseRequest {
    choice_token: String,
    user_id: AccountId,
}

impl Readable for ChooseRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let choice_token = fields.required("choice_token", verbatim(1, 500));
        let user_id = fields.required("user_id", fields::id);
        Some(Self { choice_token: choice_token?, user_id: user_id? })
    }
}

/// What a device of a patient carries.
struct Device(Vec<String>);

impl<'a> poem::FromRequest<'a> for Device {
    async fn from_request(
        request: &'a poem::Request,
        _: &mut poem::RequestBody,
    ) -> poem::Result<Self> {
        Ok(Self(device::carried(request)))
    }
}

#[OpenApi]
impl OneTimeCodesApi {
    /// Ask for a one-time code
    ///
    /// The same answer whether or not anybody here has this phone or e-mail. Asked again while the code lives it sends the
    /// same code under the same `request_id`: after 30, 60, then 120 seconds; earlier it is `429`.
    #[oai(path = "/auth/otp/request", method = "post", operation_id = "requestOtp")]
    async fn request(
        &self,
        caller: Anybody,
        clinic: Here,
        device: Device,
        body: Input<OtpRequest>,
    ) -> Result<Accepted<OtpRequested>, Problem> {
        let OtpRequest { channels, read, .. } = body.read()?;
        let identifier = read.expect("read above");
        let device = device::recognise(&clinic.keys, &device.0, &identifier);
        let asked = Asked {
            purpose: Purpose::SignIn,
            identifier,
            channels: channels.unwrap_or_default(),
            registering: None,
            device,
        };
        Ok(Accepted(ask::ask(&clinic, &asked, caller.actor()).await?.into()))
    }

    /// Sign in with a one-time code
    ///
    /// Five guesses for each request. Wrong, expired or spent: `401 otp-invalid`. For a phone that a family shares the
    /// answer lists who may be chosen.
    #[oai(path = "/auth/otp/verify", method = "post", operation_id = "verifyOtp")]
    async fn verify(
        &self,
        caller: Anybody,
        clinic: Here,
        body: Input<VerifyRequest>,
    ) -> Result<Remembered<OtpVerified>, Problem> {
        let VerifyRequest { request_id, code } = body.read()?;
        let actor = caller.actor();
        Ok(match verify::verify(&clinic, request_id, &code, &caller.device, actor).await? {
            Entered::In { tokens, cookie } => {
                Remembered { view: OtpVerified::In(*tokens), cookie: Some(cookie) }
            }
            Entered::Choose(choice) => {
                Remembered { view: OtpVerified::Choose(choice), cookie: None }
            }
        })
    }

    /// Say who of a family signs in
    #[oai(path = "/auth/otp/choose", method = "post", operation_id = "chooseAfterOtp")]
    async fn choose(
        &self,
        caller: Anybody,
        clinic: Here,
        body: Input<ChooseRequest>,
    ) -> Result<Payload<Tokens>, Problem> {
        let ChooseRequest { choice_token, user_id } = body.read()?;
        let actor = caller.actor();
        let tokens = choose::choose(&clinic, &choice_token, user_id, &caller.device, actor).await?;
        Ok(Payload(tokens))
    }

    /// Become a patient
    ///
    /// Sends a code to the phone; with it, `/auth/otp/verify` makes the account and signs in. A phone that is known sends the
    /// same: the same name on it signs in as that patient, another name becomes another of the family.
    #[oai(path = "/auth/register", method = "post", operation_id = "register")]
    async fn register(
        &self,
        caller: Anybody,
        clinic: Here,
        body: Input<RegisterRequest>,
    ) -> Result<Accepted<OtpRequested>, Problem> {
        let new = body.read()?;
        let asked = Asked {
            purpose: Purpose::Register,
            identifier: Identifier::Phone(new.phone.clone()),
            channels: vec![Channel::Whatsapp, Channel::Sms], // the phone is what it proves
            registering: Some(new),
            device: None,
        };
        Ok(Accepted(ask::ask(&clinic, &asked, caller.actor()).await?.into()))
    }
}
