//! `/messages/templates`

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use secrecy::ExposeSecret;
use serde_json::json;

use super::book::{Books, Key};
use super::check::{self, Checked, Draft, Setting};
use super::store;
use super::view::{
    PreviewRequest, PreviewView, SmsPreview, TemplateRequest, TemplateSummary, TemplateView,
    WhichTemplate,
};
use super::words::{About, Said};
use super::{builtin, language::Language};
use crate::audit::{self, Act};
use crate::auth::May;
use crate::auth::may::{ReadTemplates, WriteTemplates};
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::input::{Input, Query};
use crate::http::page::Listing;
use crate::http::path::Path;
use crate::http::payload::{Done, Payload, Stored};
use crate::messaging::channels::Channel;
use crate::messaging::channels::whatsapp::Content;
use crate::messaging::kind::Kind;
use crate::money::Money;
use crate::tenancy::Clinic;
use crate::tenancy::pools::Conn;

/// What messages say.
pub struct TemplatesApi;

#[OpenApi]
impl TemplatesApi {
    /// List the texts of messages
    ///
    /// One for each kind of message, channel and language, always whole: the clinic's own, else the product's.
    #[oai(path = "/messages/templates", method = "get", operation_id = "listTemplates")]
    async fn list(
        &self,
        _who: May<ReadTemplates>,
        clinic: Here,
        query: Query<WhichTemplate>,
    ) -> Result<Payload<Listing<TemplateSummary>>, Problem> {
        let WhichTemplate { channel, language } = query.read()?;
        let mut conn = clinic.read().await?;
        let own = store::list(&mut conn).await?;
        let items = builtin::keys()
            .filter(|key| channel.is_none_or(|channel| key.1 == channel))
            .filter(|key| language.is_none_or(|language| key.2 == language))
            .map(|key| TemplateSummary::of(key, own.iter().find(|row| row.key() == Some(key))));
        Ok(Payload(Listing::whole(items.collect())))
    }

    /// One text
    #[oai(path = "/messages/templates/:name", method = "get", operation_id = "getTemplate")]
    async fn get(
        &self,
        _who: May<ReadTemplates>,
        clinic: Here,
        name: Path<String>,
        query: Query<WhichTemplate>,
    ) -> Result<Stored<TemplateView>, Problem> {
        let key = key(&clinic, &name.0, &query)?;
        let mut conn = clinic.read().await?;
        let view = TemplateView::of(key, store::find(&mut conn, key).await?);
        let view = view.ok_or_else(Problem::not_found)?;
        Ok(Stored { etag: ETag(view.version), view })
    }

    /// Say it in the clinic's own words
    ///
    /// Placeholders stand in braces. One that there is not, one that must be there and is not, a subject that tells too
    /// much, a text that is not as registered: refused here, so that nothing fails when it is sent.
    #[oai(path = "/messages/templates/:name", method = "put", operation_id = "replaceTemplate")]
    #[allow(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn replace(
        &self,
        who: May<WriteTemplates>,
        clinic: Here,
        books: Data<&Arc<Books>>,
        name: Path<String>,
        query: Query<WhichTemplate>,
        if_match: IfMatch,
        body: Input<TemplateRequest>,
    ) -> Result<Stored<TemplateView>, Problem> {
        let key = key(&clinic, &name.0, &query)?;
        let mut tx = clinic.begin(who.actor()).await?;
        let before = TemplateView::of(key, store::lock(&mut tx, key).await?);
        let before = before.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let draft = Draft::from(body.read_over(&before)?);
        checked(&clinic, &mut tx, key, &draft).await?;
        let row = store::put(&mut tx, key, &draft.subject, &draft.body, &draft.provider).await?;
        let changed = [
            ("subject", before.subject != row.subject),
            ("body", before.body != row.body),
            ("provider", before.provider != row.provider.0),
        ];
        let changed: Vec<&str> =
            changed.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect();
        record(&mut tx, "message_template.changed", key, json!(changed)).await?;
        tx.commit().await?;
        books.changed(&clinic).await;
        let view = TemplateView::of(key, Some(row)).ok_or_else(Problem::not_found)?;
        Ok(Stored { etag: ETag(view.version), view })
    }

    /// Back to the product's words
    #[oai(path = "/messages/templates/:name", method = "delete", operation_id = "deleteTemplate")]
    async fn delete(
        &self,
        who: May<WriteTemplates>,
        clinic: Here,
        books: Data<&Arc<Books>>,
        name: Path<String>,
        query: Query<WhichTemplate>,
        if_match: IfMatch,
    ) -> Result<Done, Problem> {
        let key = key(&clinic, &name.0, &query)?;
        let mut tx = clinic.begin(who.actor()).await?;
        let before = store::lock(&mut tx, key).await?.ok_or_else(Problem::not_found)?;
        if_match.honour(ETag(before.version))?;
        store::delete(&mut tx, key).await?;
        record(&mut tx, "message_template.deleted", key, json!([])).await?;
        tx.commit().await?;
        books.changed(&clinic).await;
        Ok(Done)
    }

    /// What it would look like
    ///
    /// The text that stands, or the one in the body, filled in with invented people; what an SMS costs, and what somebody
    /// should know before saving it.
    #[oai(
        path = "/messages/templates/:name/preview",
        method = "post",
        operation_id = "previewTemplate"
    )]
    async fn preview(
        &self,
        _who: May<ReadTemplates>,
        clinic: Here,
        name: Path<String>,
        query: Query<WhichTemplate>,
        body: Input<PreviewRequest>,
    ) -> Result<Payload<PreviewView>, Problem> {
        let key = key(&clinic, &name.0, &query)?;
        body.accept()?;
        let unsaved = body.read()?;
        let mut conn = clinic.read().await?;
        let standing = TemplateView::of(key, store::find(&mut conn, key).await?);
        let draft = unsaved.over(standing.ok_or_else(Problem::not_found)?);
        let price = match key.1 {
            Channel::Sms => store::segment_price(&mut conn).await?,
            _ => None,
        };
        let checked = checked(&clinic, &mut conn, key, &draft).await?;
        Ok(Payload(shown(&about(&clinic), key, checked, price)))
    }
}

/// Which text is meant.
fn key(clinic: &Clinic, name: &str, which: &Query<WhichTemplate>) -> Result<Key, Problem> {
    let kind = Kind::named(name).ok_or_else(Problem::not_found)?;
    let which = which.read()?; // it names the text, so it is read before anything is looked for
    let channel = which.channel.unwrap_or(kind.channels()[0]);
    if !kind.channels().contains(&channel) {
        let message = "messages of this kind never go by this channel";
        let fault = FieldError::outside("query", "channel", "not_for_channel", message);
        return Err(Problem::invalid(vec![fault]));
    }
    let language = which.language.unwrap_or(Language::chosen(None, &clinic.language));
    Ok((kind, channel, language))
}

fn about(clinic: &Clinic) -> About {
    About::new(&clinic.name, &clinic.language, &clinic.url)
}

async fn checked(
    clinic: &Clinic,
    conn: &mut Conn,
    key: Key,
    draft: &Draft,
) -> Result<Checked, Problem> {
    let setting = Setting {
        about: &about(clinic),
        zone: clinic.zone,
        in_india: clinic.country == "IN",
        specialties: &store::specialties(conn).await?,
    };
    check::check(key, draft, &setting).map_err(Problem::invalid)
}

async fn record(
    tx: &mut crate::db::Tx,
    action: &'static str,
    key: Key,
    changed: serde_json::Value,
) -> sqlx::Result<()> {
    let details = json!({
        "name": key.0.as_str(), "channel": key.1, "language": key.2, "changed": changed,
    });
    let act = Act { action, entity: "message_template", entity_id: None, about_id: None, details };
    audit::record(tx, act).await
}

fn shown(about: &About, key: Key, checked: Checked, price: Option<Money>) -> PreviewView {
    let Checked { template, words, warnings } = checked;
    let mut view = PreviewView {
        name: key.0.as_str().to_owned(),
        channel: key.1,
        language: key.2,
        subject: words.subject,
        text: words.text.expose_secret().to_owned(),
        html: None,
        sms: None,
        parameters: Vec::new(),
        to_register: None,
        warnings: warnings.into_iter().map(Into::into).collect(),
    };
    match words.said {
        Said::Email(letter) => view.html = Some(letter.html),
        Said::Sms { measured, .. } => {
            view.to_register = Some(check::to_register(&template.body, about));
            view.sms = Some(SmsPreview {
                encoding: measured.encoding.as_str().to_owned(),
                units: measured.units,
                segments: measured.segments,
                cost: price.map(|price| Money {
                    amount_minor: price.amount_minor * i64::from(measured.segments),
                    ..price
                }),
            });
        }
        Said::Whatsapp(Content::Template { parameters, .. }) => {
            let order = template.whatsapp_order();
            view.to_register = Some(template.body.fill(|placeholder| {
                let place = order.iter().position(|other| *other == placeholder)?;
                Some(format!("{{{{{}}}}}", place + 1))
            }));
            view.parameters = parameters;
        }
        Said::Whatsapp(_) => {} // a code's text is WhatsApp's own
    }
    view
}
