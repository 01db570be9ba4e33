//! Signing in and out: the same at every host.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row(
        "post",
        "/auth/login",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "identifier": "x", "password": "y" }),
    ),
    row("post", "/auth/refresh", ANYBODY, Names::Nothing, |_| json!({ "refresh_token": "x" })),
    row(
        "post",
        "/auth/set-password",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "token": "x", "password": "monsoon harvest lamp" }),
    ),
    row("post", "/auth/logout", &Role::ALL, Names::Nothing, nothing),
    row("post", "/auth/logout-all", &Role::ALL, Names::Nothing, nothing),
    row("get", "/auth/sessions", &Role::ALL, Names::Nothing, nothing),
    row("delete", "/auth/sessions/{id}", &Role::ALL, Names::Session, nothing),
    row("get", "/auth/me", &Role::ALL, Names::Nothing, nothing),
];
