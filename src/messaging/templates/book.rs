//! All words of a clinic: the product's, and over them its own. Kept for each clinic until its settings change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::builtin;
use super::language::Language;
use super::store;
use super::template::Template;
use super::words::{self, About, Words, WordsError};
use crate::ids::ClinicId;
use crate::messaging::channels::Channel;
use crate::messaging::facts::Facts;
use crate::messaging::kind::Kind;
use crate::tenancy::Clinic;
use crate::tenancy::freshness::{Freshness, Stamp};
use crate::tenancy::notices::{Notice, Notices};
use crate::tenancy::pools::Conn;

/// A kind's words by a channel in a language.
pub type Key = (Kind, Channel, Language);

/// The words of one clinic.
pub struct Book {
    about: About,
    /// Its own; `Err` says why one cannot be used.
    own: HashMap<Key, Result<Template, String>>,
}

impl Book {
    pub fn new(about: About, own: HashMap<Key, Result<Template, String>>) -> Self {
        Self { about, own }
    }

    /// The language of a message: the person's, else the clinic's, else English.
    pub fn language(&self, facts: &Facts) -> Language {
        Language::chosen(facts.recipient.language.as_deref(), &self.about.language)
    }

    /// What a channel is given.
    ///
    /// # Errors
    /// When the clinic's template cannot be used, or cannot take these facts.
    pub fn words(
        &self,
        facts: &Facts,
        channel: Channel,
        language: Language,
    ) -> Result<Words, WordsError> {
        let template = match self.own.get(&(facts.kind, channel, language)) {
            Some(Ok(own)) => own,
            Some(Err(why)) => return Err(WordsError::Unusable(why.clone())),
            None => builtin::template(facts.kind, channel, language)
                .ok_or(WordsError::NotByThisChannel(channel))?,
        };
        words::put(&self.about, facts, template, channel, language)
    }

    /// As [`Book::words`], with a template that is not kept.
    ///
    /// # Errors
    /// When the template cannot take these facts.
    pub fn words_of(
        &self,
        template: &Template,
        facts: &Facts,
        channel: Channel,
        language: Language,
    ) -> Result<Words, WordsError> {
        words::put(&self.about, facts, template, channel, language)
    }
}

/// The books of all clinics that send.
pub struct Books {
    freshness: Arc<Freshness>,
    notices: Notices,
    books: Cache<ClinicId, (Stamp, Arc<Book>)>,
}

impl Books {
    pub fn new(freshness: Arc<Freshness>, notices: Notices) -> Self {
        let books =
            Cache::builder().max_capacity(5_000).time_to_idle(Duration::from_secs(600)).build();
        Self { freshness, notices, books }
    }

    /// A clinic's book, read again only after a change of the clinic.
    ///
    /// # Errors
    /// The database's.
    pub async fn of(&self, clinic: &Clinic, conn: &mut Conn) -> sqlx::Result<Arc<Book>> {
        if let Some(book) = self.known(clinic).await {
            return Ok(book);
        }
        let stamp = self.freshness.stamp(("clinic", clinic.slug.as_str()));
        let about = About::new(&clinic.name, &clinic.language, &clinic.url);
        let book = Arc::new(Book::new(about, store::all(conn).await?));
        self.books.insert(clinic.id, (stamp, book.clone())).await;
        Ok(book)
    }

    /// The book, if it is in memory and stands.
    pub async fn known(&self, clinic: &Clinic) -> Option<Arc<Book>> {
        let (stamp, book) = self.books.get(&clinic.id).await?;
        self.freshness.stands(("clinic", clinic.slug.as_str()), stamp).then_some(book)
    }

    /// Tells every instance that a clinic's words are others now.
    pub async fn changed(&self, clinic: &Clinic) {
        self.notices.tell(Notice::Clinic(clinic.slug.clone())).await;
    }
}
