//! A board as a page for a screen in a waiting room. It looks anew by itself every few seconds; without scripts it is loaded anew.

use std::sync::Arc;

use html_escape::encode_text as escaped;
use poem::endpoint::make;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Request, Response, Route};

use super::board::{Board, DoctorBoard, Shown};
use super::display::Displays;
use crate::error::Problem;
use crate::http::context::Context;
use crate::http::site::{self, CSS, JS};

/// `/display/{token}` below a clinic's host, and what it needs.
pub fn routes(route: Route, displays: &Arc<Displays>) -> Route {
    let displays = displays.clone();
    let style = site::file(CSS, include_str!("../../assets/pages/display.css"));
    let script = site::file(JS, include_str!("../../assets/pages/display.js"));
    route
        .at("/assets/display.css", poem::get(style))
        .at("/assets/display.js", poem::get(script))
        .at(
            "/display/:token",
            poem::get(make(move |request: Request| {
                let displays = displays.clone();
                async move { Ok(answered(show(&request, &displays).await)) as poem::Result<Response> }
            })),
        )
}

async fn show(request: &Request, displays: &Displays) -> Result<Response, Problem> {
    let context = Context::of(request);
    let clinic = context.clinic.as_ref().ok_or_else(Problem::not_found)?;
    let token = request.raw_path_param("token").unwrap_or_default();
    let mut page = page(&*displays.board(clinic, token).await?);
    // The address is the key: nothing that the page leads to learns it.
    page.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(page)
}

/// A screen gets a page whatever comes of it; one that is up already keeps what it shows, and says that it is old.
fn answered(answer: Result<Response, Problem>) -> Response {
    answer.unwrap_or_else(|problem| {
        let words = match problem.status {
            StatusCode::NOT_FOUND => "This address is not complete, or no longer good.",
            StatusCode::TOO_MANY_REQUESTS => "Too many screens ask at once.",
            _ => "The clinic cannot be reached at the moment.",
        };
        let mut page =
            site::page("No board", &format!("<h1>No board</h1>\n<p class=\"lead\">{words}</p>"));
        page.set_status(problem.status);
        if let Some(after) = problem.render("").headers().get(header::RETRY_AFTER) {
            page.headers_mut().insert(header::RETRY_AFTER, after.clone());
        }
        page
    })
}

fn page(board: &Board) -> Response {
    let doctors: String = board.doctors.iter().map(of_doctor).collect();
    let empty = if board.doctors.is_empty() {
        "\n<p class=\"lead\">Nobody is waiting yet.</p>"
    } else {
        ""
    };
    let (location, clinic) = (escaped(&board.location_name), escaped(&board.clinic_name));
    Response::builder().content_type("text/html; charset=utf-8").body(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <title>{location}</title>\n<link rel=\"stylesheet\" href=\"/assets/nadi.css\">\n\
         <link rel=\"stylesheet\" href=\"/assets/display.css\">\n\
         <noscript><meta http-equiv=\"refresh\" content=\"8\"></noscript>\n\
         <script src=\"/assets/display.js\" defer></script>\n</head>\n<body class=\"board\">\n\
         <main aria-live=\"polite\">\n<h1>{location}</h1>\n<p class=\"lead\">{clinic}</p>{empty}{doctors}\n</main>\n\
         <p class=\"old\" hidden>This board is not up to date. Please ask at the desk.</p>\n</body>\n</html>\n"
    ))
}

fn of_doctor(doctor: &DoctorBoard) -> String {
    let tokens = |shown: &[Shown], class: &str| -> String {
        let one = |shown: &Shown| {
            let room = shown.room.as_deref().map_or(String::new(), |room| {
                format!(" <span class=\"room\">{}</span>", escaped(room))
            });
            format!("<p class=\"{class}\"><b>{}</b>{room}</p>", shown.token)
        };
        shown.iter().map(one).collect()
    };
    let next: Vec<String> = doctor.next.iter().map(i32::to_string).collect();
    format!(
        "\n<section>\n<h2>{}</h2>\n{}{}\n<p class=\"next\">{}</p>\n</section>",
        escaped(&doctor.doctor_name),
        tokens(&doctor.called, "called"),
        tokens(&doctor.inside, "inside"),
        next.join(" · "),
    )
}
