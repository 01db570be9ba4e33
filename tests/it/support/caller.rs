//! Somebody at the other end of a socket.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The problem's name, from its type.
    pub fn problem(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default()
    }

    /// `(pointer or name, code)` of each bad field.
    pub fn faults(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| {
                let place =
                    if error["pointer"].is_null() { &error["name"] } else { &error["pointer"] };
                (text(place), text(&error["code"]))
            })
            .collect()
    }

    /// The answer, if it has this status; else says what came instead.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    pub fn id(&self) -> String {
        self.body["id"].as_str().expect("an id").to_owned()
    }
}

/// Somebody at a host, signed in or not.
#[derive(Clone)]
pub struct Caller {
    client: reqwest::Client,
    address: String,
    pub host: String,
    pub token: Option<String>,
    pub refresh_token: Option<String>,
    pub account_id: Option<String>,
}

impl Caller {
    pub fn new(address: &str, host: &str, token: Option<String>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            client: reqwest::Client::builder().pool_max_idle_per_host(8).build().unwrap(),
            address: address.to_owned(),
            host: host.to_owned(),
            token,
            refresh_token: None,
            account_id: None,
        }
    }

    /// The same person at another host, or on another instance.
    pub fn at(&self, address: &str, host: &str) -> Self {
        Self { address: address.to_owned(), host: host.to_owned(), ..self.clone() }
    }

    pub async fn sign_in(mut self, identifier: &str, password: &str) -> Self {
        let given = json!({ "identifier": identifier, "password": password });
        let answer = self.post("/auth/login", &given).await.expect(200);
        self.token = answer.body["access_token"].as_str().map(str::to_owned);
        self.refresh_token = answer.body["refresh_token"].as_str().map(str::to_owned);
        self.account_id = answer.body["user"]["id"].as_str().map(str::to_owned);
        self
    }

    /// A request to a path below `/api/v1`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.raw(method, &format!("/api/v1{path}"))
    }

    /// A request to any path.
    pub fn raw(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.address))
            .header("host", &self.host);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        // A stream is not read to its end: it has none.
        let is_stream = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let text = if is_stream { String::new() } else { response.text().await.unwrap() };
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn post_with_key(&self, path: &str, body: &Value, key: &str) -> Answer {
        let request = self.request(Method::POST, path).header("idempotency-key", key).json(body);
        self.send(request).await
    }

    pub async fn put(&self, path: &str, etag: &str, body: &Value) -> Answer {
        let request = self.request(Method::PUT, path).header("if-match", etag).json(body);
        self.send(request).await
    }

    pub async fn patch(&self, path: &str, etag: &str, body: &Value) -> Answer {
        let request = self.request(Method::PATCH, path).header("if-match", etag).json(body);
        self.send(request).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }
}
