//! What messages say: the product's words in every language, and a clinic's own.

mod names;
mod own_words;
mod registered;
mod saying;
mod sending;

use std::collections::HashMap;

use chrono_tz::Asia::Kolkata;
use nadi::messaging::channels::Channel;
use nadi::messaging::facts::Facts;
use nadi::messaging::kind::Kind;
use nadi::messaging::templates::{About, Book, Language, sample};

/// A clinic that is reached as in earnest.
fn https() -> About {
    About::new("Shanti Ayurveda", "en", "https://shanti.nadi.health")
}

fn book() -> Book {
    Book::new(https(), HashMap::new())
}

fn facts(kind: Kind, language: Language) -> Facts {
    sample::facts(kind, language, &https(), Kolkata)
}

/// Every kind by each of its channels in every language.
fn everything() -> impl Iterator<Item = (Kind, Channel, Language)> {
    Kind::ALL.into_iter().flat_map(|kind| {
        kind.channels().iter().flat_map(move |&channel| {
            Language::ALL.into_iter().map(move |language| (kind, channel, language))
        })
    })
}
