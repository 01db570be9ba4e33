//! What goes wrong, as the outside sees it: RFC 9457 problem documents, with every bad field named.

use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

const TYPE_BASE: &str = "https://nadi.health/problems/";

/// One bad field of a request: of its body (`pointer`), or of its query, path or headers (`in`, `name`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub place: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub code: &'static str,
    pub message: String,
}

impl FieldError {
    /// A fault of the body; `pointer` is a JSON pointer such as `/starts_at`.
    pub fn body(
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            pointer: Some(pointer.into()),
            place: None,
            name: None,
            code,
            message: message.into(),
        }
    }

    /// A fault outside the body; `place` is `query`, `path` or `header`.
    pub fn outside(
        place: &'static str,
        name: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            pointer: None,
            place: Some(place),
            name: Some(name.into()),
            code,
            message: message.into(),
        }
    }
}

/// An error answer. It becomes `application/problem+json` at the edge, where the request id is known.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub name: &'static str,
    pub detail: String,
    pub errors: Vec<FieldError>,
    extra: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub fn new(status: StatusCode, name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            name,
            detail: detail.into(),
            errors: Vec::new(),
            extra: Map::new(),
            headers: Vec::new(),
        }
    }

    /// A member beside the standard ones, such as `alternatives`.
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(member.to_owned(), value.into());
        self
    }

    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, HeaderValue::from_str(value).expect("our own header values")));
        self
    }

    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, &seconds.to_string())
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
            .header(header::WWW_AUTHENTICATE, "Bearer")
    }

    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "your role may not do this")
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is nothing here by that name")
    }

    pub fn conflict(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, name, detail)
    }

    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-input",
            "some fields need another value",
        );
        problem.errors = errors;
        problem
    }

    pub fn unavailable(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, name, detail).retry_after(2)
    }

    /// Something of ours broke. The cause goes to the log, never to the caller.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something broke on our side; the request id helps us find it",
        )
    }

    fn title(&self) -> String {
        let mut title = self.name.replace('-', " ");
        if let Some(first) = title.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        title
    }

    /// The document itself, with `instance` as the request id.
    pub fn document(&self, instance: &str) -> Value {
        let mut document = json!({
            "type": format!("{TYPE_BASE}{}", self.name),
            "title": self.title(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": instance,
        });
        let members = document.as_object_mut().expect("made as an object above");
        if !self.errors.is_empty() {
            members.insert("errors".into(), json!(self.errors));
        }
        members.extend(self.extra.clone());
        document
    }

    /// The final answer, once the request id is known.
    pub fn render(&self, instance: &str) -> Response {
        let mut response = Response::builder()
            .status(self.status)
            .content_type("application/problem+json")
            .body(self.document(instance).to_string());
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    /// Carries itself to the edge (`http/edge.rs`), which renders it with the request id.
    fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status).finish();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        let mut error = poem::Error::from_status(problem.status);
        error.set_data(problem); // what an error carries outlives its own response
        error
    }
}

impl From<sqlx::Error> for Problem {
    /// A database that cannot be reached is the clinic's `503`; a value that no column can hold (only a forged cursor has
    /// one) is the caller's; whatever else gets here is a bug of ours.
    fn from(error: sqlx::Error) -> Self {
        if crate::db::is_connection_trouble(&error) {
            tracing::warn!(%error, "the database went away");
            return Problem::unavailable(
                "clinic-unavailable",
                "the database cannot be reached now",
            );
        }
        // Of numbers, times and text, in this order.
        let code = error.as_database_error().and_then(|error| error.code());
        if matches!(code.as_deref(), Some("22003" | "22008" | "22021")) {
            tracing::warn!(%error, "a value that cannot be kept");
            return Problem::bad_request("a value in this request is beyond what can be kept");
        }
        Problem::internal(error)
    }
}

impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "A problem document (RFC 9457)",
                status: None,
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: "application/problem+json",
                    schema: MetaSchemaRef::Reference("Problem".to_owned()),
                }],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Problem, _>("Problem".to_owned(), |_| {
            let text = |description| {
                let mut schema = MetaSchema::new("string");
                schema.description = Some(description);
                MetaSchemaRef::Inline(Box::new(schema))
            };
            let mut schema = MetaSchema::new("object");
            schema.required = vec!["type", "title", "status", "detail", "instance"];
            schema.properties = vec![
                ("type", text("https://nadi.health/problems/<name>")),
                ("title", text("the name, in words")),
                ("status", MetaSchemaRef::Inline(Box::new(MetaSchema::new("integer")))),
                ("detail", text("what happened, and what helps")),
                ("instance", text("the request id")),
                ("errors", {
                    let mut list = MetaSchema::new("array");
                    list.description = Some("every bad field: {pointer | in, name, code, message}");
                    list.items =
                        Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::new("object")))));
                    MetaSchemaRef::Inline(Box::new(list))
                }),
            ];
            schema
        });
    }
}
