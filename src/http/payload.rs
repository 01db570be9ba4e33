//! Answers, written straight to bytes. (poem-openapi's `Json` builds a tree of values first, which costs a fifth of a warm
//! read.)

use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;
use serde::Serialize;

use super::etag::ETag;

const JSON: &str = "application/json; charset=utf-8";

/// Room for most answers, so that the buffer grows seldom.
const ROOM: usize = 4096;

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let mut bytes = Vec::with_capacity(ROOM);
    match serde_json::to_writer(&mut bytes, value) {
        Ok(()) => Response::builder().status(status).content_type(JSON).body(bytes),
        Err(error) => crate::error::Problem::internal(error).into_response(),
    }
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("our own header values are plain");
    response.headers_mut().insert(name, value);
}

fn meta<T: Type>(status: u16, description: &'static str, headers: &[&str]) -> MetaResponses {
    MetaResponses {
        responses: vec![MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType { content_type: JSON, schema: T::schema_ref() }],
            headers: headers
                .iter()
                .map(|name| MetaHeader {
                    name: (*name).to_owned(),
                    description: None,
                    required: true,
                    deprecated: false,
                    schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
                })
                .collect(),
        }],
    }
}

/// `200` with JSON.
pub struct Payload<T>(pub T);

impl<T: Serialize + Send> IntoResponse for Payload<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

impl<T: Type> ApiResponse for Payload<T> {
    fn meta() -> MetaResponses {
        meta::<T>(200, "OK", &[])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// `200` with JSON, and perhaps a cookie.
pub struct Remembered<T> {
    pub view: T,
    /// The whole of `Set-Cookie`.
    pub cookie: Option<String>,
}

impl<T: Serialize + Send> IntoResponse for Remembered<T> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::OK, &self.view);
        if let Some(cookie) = &self.cookie {
            set(&mut response, header::SET_COOKIE, cookie);
        }
        response
    }
}

impl<T: Type> ApiResponse for Remembered<T> {
    fn meta() -> MetaResponses {
        meta::<T>(200, "OK", &[])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// `202`: taken in; what comes of it comes later.
pub struct Accepted<T>(pub T);

impl<T: Serialize + Send> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        json(StatusCode::ACCEPTED, &self.0)
    }
}

impl<T: Type> ApiResponse for Accepted<T> {
    fn meta() -> MetaResponses {
        meta::<T>(202, "Accepted", &[])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// `200` with a stored resource and its tag.
pub struct Stored<T> {
    pub view: T,
    pub etag: ETag,
}

impl<T: Serialize + Send> IntoResponse for Stored<T> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::OK, &self.view);
        set(&mut response, header::ETAG, &self.etag.to_string());
        response
    }
}

impl<T: Type> ApiResponse for Stored<T> {
    fn meta() -> MetaResponses {
        meta::<T>(200, "OK", &["ETag"])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// `201` with what was made, where it is, and its tag.
pub struct Created<T> {
    pub view: T,
    pub etag: ETag,
    /// The path below the API's base: `/appointments/<id>`.
    pub location: String,
}

impl<T: Serialize + Send> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::CREATED, &self.view);
        set(&mut response, header::ETAG, &self.etag.to_string());
        set(&mut response, header::LOCATION, &format!("/api/v1{}", self.location));
        response
    }
}

impl<T: Type> ApiResponse for Created<T> {
    fn meta() -> MetaResponses {
        meta::<T>(201, "Created", &["ETag", "Location"])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// `204`: done, and nothing to say.
pub struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        Response::builder().status(StatusCode::NO_CONTENT).finish()
    }
}

impl ApiResponse for Done {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "Done",
                status: Some(204),
                status_range: None,
                content: vec![],
                headers: vec![],
            }],
        }
    }

    fn register(_: &mut Registry) {}
}
