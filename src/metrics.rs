//! Prometheus metrics, served on `NADI_METRICS_BIND` alone. Labels are operations, never paths, ids or people.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{
    Encoder, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, TextEncoder,
    register_histogram_vec, register_int_counter, register_int_counter_vec, register_int_gauge,
    register_int_gauge_vec,
};

/// What must never happen, and did: somebody should be woken.
pub static ALARMS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("nadi_alarms_total", "What must never happen", &["kind"])
        .expect("registered once")
});

static REQUESTS: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "nadi_http_request_seconds",
        "Answers by operation and status",
        &["operation", "status"],
        vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]
    )
    .expect("registered once")
});

/// Connections open to PostgreSQL servers.
pub static CONNECTIONS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("nadi_pg_connections", "Connections open to PostgreSQL")
        .expect("registered once")
});

/// Clinics held open.
pub static CLINICS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("nadi_clinics_known", "Clinics in this process's cache")
        .expect("registered once")
});

/// Hints that this process owes the ledger.
pub static HINTS_OWED: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("nadi_hints_owed", "Wake-ups that could not be put on record yet")
        .expect("registered once")
});

/// Reads of personal data that are not in their audit logs yet.
pub static AUDIT_READS_WAITING: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("nadi_audit_reads_waiting", "Reads that are not in the audit log yet")
        .expect("registered once")
});

/// Messages that only a sweep found, more than two minutes late. Anything but 0 is an alarm.
pub static LEDGER_MISSED: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!("nadi_ledger_missed_total", "Messages that only a sweep found")
        .expect("registered once")
});

/// Timed jobs of clinics by name and outcome. Given up ones are alarms besides.
pub static CHORES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("nadi_chores_total", "Timed jobs of clinics", &["chore", "outcome"])
        .expect("registered once")
});

/// Messages by channel and outcome.
pub static MESSAGES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "nadi_messages_total",
        "Calls to providers",
        &["channel", "outcome", "class"]
    )
    .expect("registered once")
});

/// Messages that may have been sent twice: a call whose end nobody saw was made again.
pub static DUPLICATE_SENDS: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!("nadi_duplicate_sends_total", "Messages that may have been sent twice")
        .expect("registered once")
});

/// What providers reported of messages.
pub static RECEIPTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("nadi_receipts_total", "Reports of providers", &["channel", "status"])
        .expect("registered once")
});

/// Deliveries to our webhooks.
pub static WEBHOOKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("nadi_webhooks_total", "News at webhooks", &["provider", "outcome"])
        .expect("registered once")
});

/// Breakers that let no call through just now.
pub static BREAKERS_OPEN: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("nadi_breakers_open", "Breakers that are open", &["of"])
        .expect("registered once")
});

/// Streams of `GET /live`.
pub static LIVE_LISTENERS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("nadi_live_listeners", "Who listens for changes just now")
        .expect("registered once")
});

/// Streams of `GET /live` that we ended, by reason.
pub static LIVE_ENDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("nadi_live_ended_total", "Streams that we ended", &["reason"])
        .expect("registered once")
});

pub fn answered(operation: &str, status: u16, took: Duration) {
    let status = match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    REQUESTS.with_label_values(&[operation, status]).observe(took.as_secs_f64());
}

/// The page that Prometheus reads.
pub fn page() -> String {
    // An alarm can only be set on a figure that is there before the first trouble.
    for figure in [&HINTS_OWED, &CLINICS, &CONNECTIONS, &AUDIT_READS_WAITING, &LIVE_LISTENERS] {
        LazyLock::force(figure);
    }
    LazyLock::force(&LEDGER_MISSED);
    LazyLock::force(&DUPLICATE_SENDS);
    let mut text = Vec::new();
    let gathered = TextEncoder::new().encode(&prometheus::gather(), &mut text);
    match gathered {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(error) => format!("# {error}\n"),
    }
}
