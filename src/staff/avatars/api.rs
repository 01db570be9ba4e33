//! `/users/{id}/avatar`

use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaResponse, MetaResponses, Registry};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use serde_json::json;

use super::redraw::{Redrawn, redraw};
use super::store;
use super::upload::{self, Upload};
use crate::audit::{self, Act, Seen};
use crate::auth::may::OwnAccount;
use crate::auth::{May, Role};
use crate::db::Tx;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch, IfNoneMatch};
use crate::http::input::NoBody;
use crate::http::path::Path;
use crate::http::payload::{Done, Stored};
use crate::ids::AccountId;
use crate::staff::model::AccountView;
use crate::staff::store as accounts;

/// Faces beside names.
pub struct AvatarsApi;

/// What is kept.
#[derive(Serialize, Object)]
pub struct AvatarView {
    content_type: String,
    width: u32,
    height: u32,
}

/// `200` with the image itself, or `304` for who has it. A browser that is made to show it as something else may run nothing of it.
pub struct Picture {
    /// None: the caller has it.
    image: Option<(String, Vec<u8>)>,
    etag: ETag,
}

impl IntoResponse for Picture {
    fn into_response(self) -> Response {
        let mut response = match self.image {
            Some((content_type, bytes)) => {
                Response::builder().content_type(&content_type).body(bytes)
            }
            None => Response::builder().status(StatusCode::NOT_MODIFIED).finish(),
        };
        let headers = response.headers_mut();
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_DISPOSITION, "inline");
        set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Ok(tag) = HeaderValue::from_str(&self.etag.to_string()) {
            headers.insert(header::ETAG, tag);
        }
        response
    }
}

impl ApiResponse for Picture {
    fn meta() -> MetaResponses {
        let answer = |status, description, content| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content,
            headers: vec![],
        };
        let unchanged = "Not modified: the caller has this version (`If-None-Match`)";
        MetaResponses {
            responses: vec![
                answer(200, "The image", upload::media_types()),
                answer(304, unchanged, vec![]),
            ],
        }
    }

    fn register(_: &mut Registry) {}
}

#[OpenApi]
impl AvatarsApi {
    /// Somebody's picture
    ///
    /// Staff see everybody's, patients their own.
    #[oai(path = "/users/:id/avatar", method = "get", operation_id = "getAvatar")]
    async fn get(
        &self,
        who: May<OwnAccount>,
        clinic: Here,
        id: Path<AccountId>,
        if_none_match: IfNoneMatch,
    ) -> Result<Picture, Problem> {
        if who.is_patient() && who.account != id.0 {
            return Err(Problem::not_found());
        }
        let mut conn = clinic.read().await?;
        let row = store::avatar(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        drop(conn);
        let store::AvatarRow { content_type, bytes, version } = row;
        let etag = ETag(version);
        if if_none_match.has(etag) {
            return Ok(Picture { image: None, etag }); // nothing is shown
        }
        who.saw(Seen::one("avatar", id.0)).await?;
        Ok(Picture { image: Some((content_type, bytes)), etag })
    }

    /// Set somebody's picture
    ///
    /// One's own; an admin sets everybody's. PNG, JPEG or WebP by its content, up to 512 KiB and 2048 pixels on each side. It is
    /// drawn anew: upright, 512 pixels at most, as JPEG (as PNG where something shines through), without what a camera wrote
    /// beside it. The tag is the account's.
    #[oai(path = "/users/:id/avatar", method = "put", operation_id = "replaceAvatar")]
    async fn replace(
        &self,
        who: May<OwnAccount>,
        clinic: Here,
        id: Path<AccountId>,
        if_match: IfMatch,
        body: Upload,
    ) -> Result<Stored<AvatarView>, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let before = changeable(&mut tx, &who, id.0).await?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let sent = body.read()?;
        tx.rollback().await?; // no connection is held while it is drawn
        let Redrawn { image, bytes } = redraw(sent).await?;
        let mut tx = clinic.begin(who.actor()).await?;
        let before = changeable(&mut tx, &who, id.0).await?;
        if_match.require(ETag(before.version))?;
        store::put_avatar(&mut tx, id.0, image.content_type, &bytes).await?;
        let version = accounts::touch(&mut tx, id.0).await?;
        let act = Act::new("account.avatar_changed", "account", id.0);
        let details = json!({ "content_type": image.content_type, "bytes": bytes.len() });
        audit::record(&mut tx, act.details(details)).await?;
        tx.commit().await?;
        let content_type = image.content_type.to_owned();
        let view = AvatarView { content_type, width: image.width, height: image.height };
        Ok(Stored { view, etag: ETag(version) })
    }

    /// Remove somebody's picture
    #[oai(path = "/users/:id/avatar", method = "delete", operation_id = "deleteAvatar")]
    async fn delete(
        &self,
        who: May<OwnAccount>,
        clinic: Here,
        id: Path<AccountId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let before = changeable(&mut tx, &who, id.0).await?;
        if_match.honour(ETag(before.version))?;
        nothing.read()?;
        if !store::delete_avatar(&mut tx, id.0).await? {
            return Err(Problem::not_found());
        }
        accounts::touch(&mut tx, id.0).await?;
        audit::record(&mut tx, Act::new("account.avatar_removed", "account", id.0)).await?;
        tx.commit().await?;
        Ok(Done)
    }
}

/// The account whose picture this caller may change, locked.
async fn changeable(
    tx: &mut Tx,
    who: &May<OwnAccount>,
    id: AccountId,
) -> Result<AccountView, Problem> {
    if who.is_patient() && who.account != id {
        return Err(Problem::not_found());
    }
    let account = accounts::lock(tx, id).await?.ok_or_else(Problem::not_found)?;
    if who.account != id && who.role != Role::ClinicAdmin {
        return Err(Problem::forbidden());
    }
    Ok(account)
}
