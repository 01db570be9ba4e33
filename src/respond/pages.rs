//! The page that a link in a message opens: what it is about, and two buttons that post. No script, and nothing acts by being
//! looked at.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use html_escape::encode_text as escaped;
use poem::endpoint::make;
use poem::http::{StatusCode, header};
use poem::{Request, Response, Route};

use super::subject::Subject;
use super::{Action, act, look, note, patient};
use crate::appointments::Status;
use crate::error::Problem;
use crate::http::context::Context;
use crate::http::site;
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
            Ok(answered(show(&request).await)) as poem::Result<Response>
        }))
        .post(make(|mut request: Request| async move {
            Ok(answered(answer(&mut request).await)) as poem::Result<Response>
        })),
    )
}

/// People get a page whatever comes of it.
fn answered(answer: Result<Response, Problem>) -> Response {
    answer.unwrap_or_else(|problem| {
        let (title, words) = match problem.status {
            StatusCode::NOT_FOUND => ("Nothing here", "This link is not complete, or not ours."),
            StatusCode::GONE if problem.name == "link-outdated" => (
                "This appointment has moved",
                "Please use the link of the newest message about it.",
            ),
            StatusCode::GONE if problem.name == "offer-over" => (
                "This time is not kept any more",
                "You keep your place on the list, and hear from us about the next.",
            ),
            StatusCode::GONE => (
                "This link is over",
                "The time of the appointment has come. Please call the clinic.",
            ),
            StatusCode::CONFLICT if problem.name == "slot-taken" => (
                "You have another appointment then",
                "Please move that one first, or call the clinic. Until the time is over it is kept for you.",
            ),
            StatusCode::CONFLICT => (
                "This cannot be done any more",
                "The appointment has changed since the message. Please call the clinic.",
            ),
            StatusCode::TOO_MANY_REQUESTS => ("One moment", "Please try again in a minute."),
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => {
                ("That is no answer", "Please go back, and press one of the buttons.")
            }
            _ => ("Not now", "The clinic cannot be reached at the moment. Please try again soon."),
        };
        let mut page = site::page(
            title,
            &format!("<h1>{}</h1>\n<p class=\"lead\">{}</p>", escaped(title), escaped(words)),
        );
        page.set_status(problem.status);
        if let Some(wait) = problem.render("").headers().get(header::RETRY_AFTER) {
            page.headers_mut().insert(header::RETRY_AFTER, wait.clone());
        }
        page
    })
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

async fn show(request: &Request) -> Result<Response, Problem> {
    let Visitor { context, clinic, token } = visitor(request)?;
    let (token, subject) = look(&clinic, &token).await?;
    subject.is_current(&token, clinic.clock.now())?;
    note(&context, &subject).await?;
    Ok(page(&clinic, &subject, clinic.clock.now()))
}

async fn answer(request: &mut Request) -> Result<Response, Problem> {
    let Visitor { context, clinic, token } = visitor(request)?;
    look(&clinic, &token).await?;
    let too_large =
        |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "a form has one word");
    let form = request.take_body().into_bytes_limit(LARGEST_FORM).await.map_err(too_large)?;
    let pressed = url::form_urlencoded::parse(&form).find(|(name, _)| name == "action");
    let action = pressed.and_then(|(_, action)| Action::named(&action));
    let action = action.ok_or_else(|| Problem::invalid(Vec::new()))?;
    let subject = act(&clinic, patient(&context), &token, action).await?;
    Ok(page(&clinic, &subject, clinic.clock.now()))
}

fn page(clinic: &Clinic, subject: &Subject, now: DateTime<Utc>) -> Response {
    let (doctor, location, time_zone) = subject.place();
    let zone = time::zone(time_zone).unwrap_or(clinic.zone);
    let when = |at: DateTime<Utc>| at.with_timezone(&zone).format("%A, %-d %B %Y, %H:%M");
    let title = title(subject);
    let mut body = format!(
        "<h1>{title}</h1>\n<p class=\"lead\">{}</p>\n<table>\n\
         <tr><th scope=\"row\">When</th><td>{} ({})</td></tr>\n\
         <tr><th scope=\"row\">With</th><td>{}</td></tr>\n\
         <tr><th scope=\"row\">Where</th><td>{}</td></tr>\n",
        escaped(&clinic.name),
        when(subject.starts_at()),
        escaped(time_zone),
        escaped(doctor),
        escaped(location),
    );
    let actions = subject.actions(now);
    if let Subject::Offer(offer) = subject
        && !actions.is_empty()
    {
        let until = when(offer.until);
        body.push_str(&format!("<tr><th scope=\"row\">Kept until</th><td>{until}</td></tr>\n"));
    }
    body.push_str("</table>");
    if !actions.is_empty() {
        body.push_str("\n<form method=\"post\">");
        for action in actions {
            let words = match action {
                Action::Confirm => "I will come",
                Action::Cancel => "Cancel the appointment",
                Action::Accept => "I take this time",
                Action::Decline => "No, thank you",
            };
            let name = action.as_str();
            body.push_str(&format!("\n<button name=\"action\" value=\"{name}\">{words}</button>"));
        }
        body.push_str("\n</form>");
    }
    site::page(title, &body)
}

fn title(subject: &Subject) -> &'static str {
    match subject {
        Subject::Visit(asked) => match asked.visit.status {
            Status::Booked => "Will you come?",
            Status::Confirmed => "Thank you: you are coming",
            Status::Cancelled => "Your appointment is cancelled",
            _ => "Your appointment",
        },
        Subject::Offer(offer) => match offer.status {
            OfferStatus::Open => "A time is free for you",
            OfferStatus::Accepted => "Thank you: it is booked for you",
            _ => "You let this time pass",
        },
    }
}
