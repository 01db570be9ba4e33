//! SQL of deliveries beside the outbox's own: addresses to keep away from, templates that a provider refuses.

use std::time::Duration;

use super::channels::Channel;
use crate::tenancy::pools::Conn;

/// The channels that are known not to reach these addresses.
pub async fn unreachable(
    conn: &mut Conn,
    phone: Option<&str>,
    email: Option<&str>,
) -> sqlx::Result<Vec<Channel>> {
    sqlx::query_scalar(
        "select channel from unreachable_addresses where until > now()
           and ((channel <> 'email' and address = $1) or (channel = 'email' and address = lower($2)))",
    )
    .bind(phone)
    .bind(email)
    .fetch_all(conn)
    .await
}

/// Keeps away from an address; for good where no time is given.
pub async fn shun(
    conn: &mut Conn,
    channel: Channel,
    address: &str,
    reason: &str,
    lasts: Option<Duration>,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into unreachable_addresses (channel, address, reason, until)
         values ($1, case $1 when 'email' then lower($2) else $2 end, $3,
                 coalesce(now() + make_interval(secs => $4), 'infinity'))
         on conflict (channel, address) do update set reason = excluded.reason, until = excluded.until",
    )
    .bind(channel.as_str())
    .bind(address)
    .bind(reason)
    .bind(lasts.map(|lasts| lasts.as_secs_f64()))
    .execute(conn.never_repeat())
    .await
    .map(drop)
}

/// A clinic's own text that its provider refuses is used no more until somebody mends it. The product's own cannot be disabled:
/// its row would have to be a copy; there the alarm has to do.
pub async fn disable_template(
    conn: &mut Conn,
    name: &str,
    channel: Channel,
    language: Option<&str>,
    why: &str,
) -> sqlx::Result<bool> {
    let disabled = sqlx::query(
        "update message_templates set disabled = $4, updated_at = now()
         where name = $1 and channel = $2 and disabled is null and ($3::text is null or language = $3)",
    )
    .bind(name)
    .bind(channel.as_str())
    .bind(language)
    .bind(why)
    .execute(conn.never_repeat())
    .await?;
    Ok(disabled.rows_affected() > 0)
}
