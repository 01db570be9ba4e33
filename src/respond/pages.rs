//! The page that a link in a message opens: what it is about, and two buttons that post. No script, and nothing acts by being
//! looked at.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use html_escape::encode_text as escaped;
use poem::endpoint::make;
use poem::http::{StatusCode, header};
use poem::{Request, Response, Route};

use super::subject::Subject;
use super::words::{Words, words};
use super::{Action, act, look, note, patient};
use crate::appointments::Status;
use crate::error::Problem;
use crate::http::context::Context;
use crate::http::site;
use crate::messaging::consents;
use crate::messaging::templates::Language;
use crate::tenancy::Clinic;
use crate::time;
use crate::waitlist::reply::OfferStatus;

/// More than a form with one word has.
const LARGEST_FORM: usize = 1024;

/// `/respond/{token}` below a clinic's host.
pub fn routes(route: Route) -> Route {
    route.at(
        "/respond/:token",
        poem::get(make(|request: Request| async move {
            Ok(looked(&request).await) as poem::Result<Response>
        }))
        .post(make(|mut request: Request| async move {
            Ok(pressed(&mut request).await) as poem::Result<Response>
        })),
    )
}

async fn looked(request: &Request) -> Response {
    let visitor = match visitor(request) {
        Ok(visitor) => visitor,
        Err(problem) => return refused(&problem, Language::En),
    };
    let language = visitor.language().await;
    show(&visitor, language).await.unwrap_or_else(|problem| refused(&problem, language))
}

async fn pressed(request: &mut Request) -> Response {
    let visitor = match visitor(request) {
        Ok(visitor) => visitor,
        Err(problem) => return refused(&problem, Language::En),
    };
    let language = visitor.language().await;
    let answer = answer(&visitor, request, language).await;
    answer.unwrap_or_else(|problem| refused(&problem, language))
}

/// People get a page whatever comes of it.
fn refused(problem: &Problem, language: Language) -> Response {
    let words = words(language);
    let (title, sentence) = match problem.status {
        StatusCode::NOT_FOUND => words.nothing_here,
        StatusCode::GONE if problem.name == "link-outdated" => words.has_moved,
        StatusCode::GONE if problem.name == "offer-over" => words.not_kept,
        StatusCode::GONE => words.over,
        StatusCode::CONFLICT if problem.name == "slot-taken" => words.busy_then,
        StatusCode::CONFLICT => words.cannot_be,
        StatusCode::TOO_MANY_REQUESTS => words.one_moment,
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => words.no_answer,
        _ => words.not_now,
    };
    let body = format!("<h1>{}</h1>\n<p class=\"lead\">{}</p>", escaped(title), escaped(sentence));
    let mut page = site::page_in(language.as_str(), title, &body);
    page.set_status(problem.status);
    if let Some(wait) = problem.render("").headers().get(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, wait.clone());
    }
    page
}

struct Visitor {
    context: Context,
    clinic: Arc<Clinic>,
    token: String,
}

fn visitor(request: &Request) -> Result<Visitor, Problem> {
    let context = Context::of(request).clone();
    let clinic = context.clinic.clone().ok_or_else(Problem::not_found)?;
    let token = request.raw_path_param("token").unwrap_or_default().to_owned();
    Ok(Visitor { context, clinic, token })
}

impl Visitor {
    /// The reader's, as far as it is known whose link this is; else the clinic's.
    async fn language(&self) -> Language {
        let own = async {
            let (_, subject) = look(&self.clinic, &self.token).await.ok()?;
            let mut conn = self.clinic.read().await.ok()?;
            consents::language_of(&mut conn, subject.patient()).await.ok()?
        };
        Language::chosen(own.await.as_deref(), &self.clinic.language)
    }
}

async fn show(visitor: &Visitor, language: Language) -> Result<Response, Problem> {
    let Visitor { context, clinic, token } = visitor;
    let (token, subject) = look(clinic, token).await?;
    subject.is_current(&token, clinic.clock.now())?;
    note(context, &subject).await?;
    Ok(page(clinic, &subject, language))
}

async fn answer(
    visitor: &Visitor,
    request: &mut Request,
    language: Language,
) -> Result<Response, Problem> {
    let Visitor { context, clinic, token } = visitor;
    look(clinic, token).await?;
    let too_large =
        |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "a form has one word");
    let form = request.take_body().into_bytes_limit(LARGEST_FORM).await.map_err(too_large)?;
    let pressed = url::form_urlencoded::parse(&form).find(|(name, _)| name == "action");
    let action = pressed.and_then(|(_, action)| Action::named(&action));
    let action = action.ok_or_else(|| Problem::invalid(Vec::new()))?;
    let subject = act(clinic, patient(context), token, action).await?;
    Ok(page(clinic, &subject, language))
}

fn page(clinic: &Clinic, subject: &Subject, language: Language) -> Response {
    let words = words(language);
    let (doctor, location, time_zone) = subject.place();
    let zone = time::zone(time_zone).unwrap_or(clinic.zone);
    let when = |at: DateTime<Utc>| language.when(&at.with_timezone(&zone));
    let title = title(subject, words);
    let row = |name: &str, value: &str| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(name), escaped(value))
    };
    let mut body = format!(
        "<h1>{}</h1>\n<p class=\"lead\">{}</p>\n<table>\n",
        escaped(title),
        escaped(&clinic.name)
    );
    body.push_str(&row(words.when, &format!("{} ({time_zone})", when(subject.starts_at()))));
    body.push_str(&row(words.with, doctor));
    body.push_str(&row(words.place, location));
    let actions = subject.actions(clinic.clock.now());
    if let Subject::Offer(offer) = subject
        && !actions.is_empty()
    {
        body.push_str(&row(words.kept_until, &when(offer.until)));
    }
    body.push_str("</table>");
    if !actions.is_empty() {
        body.push_str("\n<form method=\"post\">");
        for action in actions {
            let says = match action {
                Action::Confirm => words.confirm,
                Action::Cancel => words.cancel,
                Action::Accept => words.accept,
                Action::Decline => words.decline,
            };
            let name = action.as_str();
            body.push_str(&format!(
                "\n<button name=\"action\" value=\"{name}\">{}</button>",
                escaped(says)
            ));
        }
        body.push_str("\n</form>");
    }
    site::page_in(language.as_str(), title, &body)
}

fn title(subject: &Subject, words: &Words) -> &'static str {
    match subject {
        Subject::Visit(asked) => match asked.visit.status {
            Status::Booked => words.will_you_come,
            Status::Confirmed => words.you_come,
            Status::Cancelled => words.is_cancelled,
            _ => words.your_visit,
        },
        Subject::Offer(offer) => match offer.status {
            OfferStatus::Open => words.a_time_is_free,
            OfferStatus::Accepted => words.it_is_booked,
            _ => words.you_let_it_pass,
        },
    }
}
