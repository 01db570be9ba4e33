//! The few pages that every host has: whose host this is, the description of its API, and the form that a link leads to.

use std::sync::LazyLock;

use bytes::Bytes;
use html_escape::encode_text as escaped;
use poem::endpoint::{BoxEndpoint, make_sync};
use poem::http::header;
use poem::{EndpointExt, IntoResponse, Request, Response, Route};
use serde_json::Value;

use super::context::Context;

/// A page in the house's plain style, in English. `body` is HTML already.
pub fn page(title: &str, body: &str) -> Response {
    page_in("en", title, body)
}

/// As [`page`], in a language by its code (BCP 47).
pub fn page_in(language: &str, title: &str, body: &str) -> Response {
    let title = escaped(title);
    Response::builder().content_type("text/html; charset=utf-8").body(format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"/assets/nadi.css\">\n</head>\n\
         <body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    ))
}

/// A file of this binary's.
pub fn file(content_type: &'static str, text: &'static str) -> BoxEndpoint<'static, Response> {
    make_sync(move |_| {
        Response::builder()
            .content_type(content_type)
            .header(header::CACHE_CONTROL, "public, max-age=3600")
            .body(text)
    })
    .map_to_response()
    .boxed()
}

pub const CSS: &str = "text/css; charset=utf-8";
pub const JS: &str = "text/javascript; charset=utf-8";

/// The files that pages need, from this binary: nothing is fetched from elsewhere.
pub fn with_assets(route: Route) -> Route {
    route.at("/assets/nadi.css", poem::get(file(CSS, include_str!("../../assets/pages/nadi.css"))))
}

/// A host with an API: what lies `beside` it, its front page, description, Swagger UI and password form beside the API itself.
pub fn rooms(
    beside: Route,
    api: BoxEndpoint<'static, Response>,
    describe: fn() -> Value,
) -> BoxEndpoint<'static, Response> {
    // Made when it is first asked for: it takes some megabytes, and few ever ask.
    let description = LazyLock::new(move || Bytes::from(describe().to_string()));
    let swagger = |name, content_type, text| (name, poem::get(file(content_type, text)));
    let mut route = with_assets(beside)
        .at("/", poem::get(make_sync(front)))
        .at(
            "/openapi.json",
            poem::get(make_sync(move |_| {
                Response::builder().content_type("application/json").body(description.clone())
            })),
        )
        .at("/docs", poem::get(make_sync(|_| docs())))
        .at("/set-password", poem::get(make_sync(|_| set_password())))
        .at(
            "/assets/set-password.js",
            poem::get(file(JS, include_str!("../../assets/pages/set-password.js"))),
        );
    for (path, endpoint) in [
        swagger(
            "/assets/swagger-ui.css",
            CSS,
            include_str!("../../assets/swagger-ui/swagger-ui.css"),
        ),
        swagger(
            "/assets/swagger-ui-bundle.js",
            JS,
            include_str!("../../assets/swagger-ui/swagger-ui-bundle.js"),
        ),
        swagger(
            "/assets/swagger-ui-start.js",
            JS,
            include_str!("../../assets/swagger-ui/start.js"),
        ),
    ] {
        route = route.at(path, endpoint);
    }
    route.nest("/api/v1", api).map_to_response().boxed()
}

fn front(request: Request) -> Response {
    let context = Context::of(&request);
    let (name, lead) = match &context.clinic {
        Some(clinic) => (
            clinic.name.as_str(),
            "This is the clinic's own address: its staff and patients sign in here.",
        ),
        None => ("nadi: the platform", "Clinics are made, suspended and resumed here."),
    };
    page(
        name,
        &format!(
            "<h1>{}</h1>\n<p class=\"lead\">{lead}</p>\n<ul>\n\
             <li><a href=\"/docs\">The API, to read and to try</a></li>\n\
             <li><a href=\"/openapi.json\">Its OpenAPI description</a></li>\n\
             <li><a href=\"/health\">Health</a></li>\n</ul>",
            escaped(name)
        ),
    )
}

fn docs() -> Response {
    Response::builder().content_type("text/html; charset=utf-8").body(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>nadi API</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/swagger-ui.css\">\n\
         <script src=\"/assets/swagger-ui-bundle.js\" defer></script>\n\
         <script src=\"/assets/swagger-ui-start.js\" defer></script>\n</head>\n\
         <body><div id=\"swagger-ui\"></div></body>\n</html>\n",
    )
}

fn set_password() -> Response {
    page(
        "Set your password",
        "<h1>Set your password</h1>\n<p class=\"lead\">At least 10 characters, of any script.</p>\n\
         <form>\n<label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" minlength=\"10\" maxlength=\"256\" required>\n\
         <label for=\"again\">Once more</label>\n\
         <input id=\"again\" name=\"again\" type=\"password\" autocomplete=\"new-password\" required>\n\
         <button>Set password</button>\n</form>\n<p class=\"note\" role=\"status\"></p>\n\
         <script src=\"/assets/set-password.js\" defer></script>",
    )
}

/// The base domain's page. It names no clinic, unless these are the demo's own.
pub fn landing(demo_links: &[(String, String)]) -> Response {
    let mut body = "<h1>nadi</h1>\n<p class=\"lead\">A clinic platform. Each clinic has an address of its own; \
                    ask yours for it.</p>"
        .to_owned();
    if !demo_links.is_empty() {
        body.push_str("\n<h2>This demo</h2>\n<ul>");
        for (name, url) in demo_links {
            let url = html_escape::encode_double_quoted_attribute(url);
            body.push_str(&format!("\n<li><a href=\"{url}\">{}</a></li>", escaped(name)));
        }
        body.push_str("\n</ul>");
    }
    page("nadi", &body)
}

/// A plain answer for `/health*`.
pub fn text(body: impl Into<String>) -> Response {
    body.into().with_content_type("text/plain; charset=utf-8").into_response()
}
