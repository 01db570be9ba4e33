//! The product's own texts, compiled in: a file for each language. That none is missing or faulty is tested, not hoped.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::book::Key;
use super::language::Language;
use super::template::Template;
use crate::messaging::channels::Channel;
use crate::messaging::kind::Kind;

/// A text as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    #[serde(default)]
    pub subject: String,
    pub body: String,
}

type File = BTreeMap<String, BTreeMap<Channel, Text>>;

static TEXTS: LazyLock<BTreeMap<Key, (Text, Template)>> = LazyLock::new(|| {
    let mut texts = BTreeMap::new();
    for language in Language::ALL {
        let source = match language {
            Language::En => include_str!("texts/en.toml"),
            Language::Hi => include_str!("texts/hi.toml"),
            Language::Mr => include_str!("texts/mr.toml"),
            Language::Ml => include_str!("texts/ml.toml"),
        };
        let file: File = toml::from_str(source).expect("our own texts are TOML: tested");
        for (name, by_channel) in file {
            let kind = Kind::named(&name).expect("our own texts have names of kinds: tested");
            for (channel, text) in by_channel {
                let template = Template::read(kind, &text.subject, &text.body)
                    .expect("our own texts name what there is: tested");
                texts.insert((kind, channel, language), (text, template));
            }
        }
    }
    texts
});

/// Every kind, channel and language that there are words for.
pub fn keys() -> impl Iterator<Item = Key> {
    TEXTS.keys().copied()
}

/// The text as written; `None` where a kind never goes by that channel.
pub fn text(kind: Kind, channel: Channel, language: Language) -> Option<&'static Text> {
    TEXTS.get(&(kind, channel, language)).map(|(text, _)| text)
}

/// The text, ready to be filled in.
pub fn template(kind: Kind, channel: Channel, language: Language) -> Option<&'static Template> {
    TEXTS.get(&(kind, channel, language)).map(|(_, template)| template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_words_for_each_of_its_channels_in_every_language_and_no_others() {
        for kind in Kind::ALL {
            for channel in Channel::ALL {
                for language in Language::ALL {
                    let expected = kind.channels().contains(&channel);
                    let here = (kind.as_str(), channel, language);
                    assert_eq!(text(kind, channel, language).is_some(), expected, "{here:?}");
                }
            }
        }
    }
}
