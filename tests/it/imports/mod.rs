//! Files of many rows: all of one or nothing, and everything that is wrong with it by row and column.

mod book;
mod faults;
mod hours;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Caller, TestClinic};

async fn import(caller: &Caller, path: &str, file: &str) -> Answer {
    let request = caller.request(Method::POST, &format!("/imports/{path}"));
    caller.send(request.header("content-type", "text/csv").body(file.to_owned())).await
}

/// `(row, column, code)` of each fault of a dry run.
fn faults(answer: &Answer) -> Vec<(i64, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    answer.body["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (fault["row"].as_i64().unwrap(), text(&fault["column"]), text(&fault["code"])))
        .collect()
}

fn owned<const N: usize>(faults: [(i64, &str, &str); N]) -> Vec<(i64, String, String)> {
    faults.map(|(row, column, code)| (row, column.to_owned(), code.to_owned())).to_vec()
}

async fn numbers(clinic: &TestClinic) -> Vec<String> {
    sqlx::query_scalar("select number from patients order by id")
        .fetch_all(&mut clinic.connection().await)
        .await
        .unwrap()
}

const DOCTOR: &str = "doctor@shanti.example";
