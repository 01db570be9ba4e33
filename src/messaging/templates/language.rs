//! The languages that messages are written in, and how each writes a day and an hour.

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// A language that we have words for.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    poem_openapi::Enum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Language {
    En,
    Hi,
    Mr,
    Ml,
}

impl Language {
    pub const ALL: [Language; 4] = [Language::En, Language::Hi, Language::Mr, Language::Ml];

    pub fn as_str(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Hi => "hi",
            Language::Mr => "mr",
            Language::Ml => "ml",
        }
    }

    /// The language of a code, if we have it.
    pub fn named(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == code)
    }

    /// The first that we have of what somebody reads and what the clinic speaks; else English.
    pub fn chosen(of_person: Option<&str>, of_clinic: &str) -> Self {
        of_person.and_then(Self::named).or_else(|| Self::named(of_clinic)).unwrap_or(Language::En)
    }

    /// `Monday, 23 November 2026`
    pub fn date<At: Datelike>(self, at: &At) -> String {
        let (day, month, year) = (at.day(), self.month(at), at.year());
        let weekday = self.calendar().days[at.weekday().num_days_from_monday() as usize];
        match self {
            Language::Ml => format!("{year} {month} {day}, {weekday}"),
            _ => format!("{weekday}, {day} {month} {year}"),
        }
    }

    /// `10:30`, as the language says it.
    pub fn time<At: Timelike>(self, at: &At) -> String {
        let (hour, minute) = (at.hour(), at.minute());
        match self {
            Language::En | Language::Ml => format!("{hour:02}:{minute:02}"),
            Language::Hi => format!("{hour:02}:{minute:02} बजे"),
            Language::Mr => format!("{hour:02}:{minute:02} वा."),
        }
    }

    /// `Monday, 23 November 2026, 10:30`
    pub fn when(self, at: &DateTime<Tz>) -> String {
        format!("{}, {}", self.date(at), self.time(at))
    }

    /// `Mon 23 November, 10:30`: fits a variable of a registered text in every language.
    pub fn when_short(self, at: &DateTime<Tz>) -> String {
        let (hour, minute) = (at.hour(), at.minute());
        format!("{}, {hour:02}:{minute:02}", self.date_short(at))
    }

    /// `Mon 23 November`
    pub fn date_short<At: Datelike>(self, at: &At) -> String {
        let (day, month) = (at.day(), self.month(at));
        let weekday = self.calendar().short_days[at.weekday().num_days_from_monday() as usize];
        match self {
            Language::Ml => format!("{weekday} {month} {day}"),
            _ => format!("{weekday} {day} {month}"),
        }
    }

    /// `5 minutes`
    pub fn minutes(self, count: i64) -> String {
        let word = match (self, count) {
            (Language::En, 1) => "minute",
            (Language::En, _) => "minutes",
            (Language::Hi, _) => "मिनट",
            (Language::Mr, 1) => "मिनिट",
            (Language::Mr, _) => "मिनिटे",
            (Language::Ml, _) => "മിനിറ്റ്",
        };
        format!("{count} {word}")
    }

    fn month<At: Datelike>(self, at: &At) -> &'static str {
        self.calendar().months[at.month0() as usize]
    }

    fn calendar(self) -> &'static Calendar {
        match self {
            Language::En => &ENGLISH,
            Language::Hi => &HINDI,
            Language::Mr => &MARATHI,
            Language::Ml => &MALAYALAM,
        }
    }
}

/// From Monday, from January.
struct Calendar {
    days: [&'static str; 7],
    short_days: [&'static str; 7],
    months: [&'static str; 12],
}

#[rustfmt::skip]
const ENGLISH: Calendar = Calendar {
    days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    short_days: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    months: ["January", "February", "March", "April", "May", "June",
             "July", "August", "September", "October", "November", "December"],
};

#[rustfmt::skip]
const HINDI: Calendar = Calendar {
    days: ["सोमवार", "मंगलवार", "बुधवार", "गुरुवार", "शुक्रवार", "शनिवार", "रविवार"],
    short_days: ["सोम", "मंगल", "बुध", "गुरु", "शुक्र", "शनि", "रवि"],
    months: ["जनवरी", "फ़रवरी", "मार्च", "अप्रैल", "मई", "जून",
             "जुलाई", "अगस्त", "सितंबर", "अक्टूबर", "नवंबर", "दिसंबर"],
};

#[rustfmt::skip]
const MARATHI: Calendar = Calendar {
    days: ["सोमवार", "मंगळवार", "बुधवार", "गुरुवार", "शुक्रवार", "शनिवार", "रविवार"],
    short_days: ["सोम", "मंगळ", "बुध", "गुरु", "शुक्र", "शनि", "रवि"],
    months: ["जानेवारी", "फेब्रुवारी", "मार्च", "एप्रिल", "मे", "जून",
             "जुलै", "ऑगस्ट", "सप्टेंबर", "ऑक्टोबर", "नोव्हेंबर", "डिसेंबर"],
};

#[rustfmt::skip]
const MALAYALAM: Calendar = Calendar {
    days: ["തിങ്കളാഴ്ച", "ചൊവ്വാഴ്ച", "ബുധനാഴ്ച", "വ്യാഴാഴ്ച", "വെള്ളിയാഴ്ച", "ശനിയാഴ്ച", "ഞായറാഴ്ച"],
    short_days: ["തിങ്കൾ", "ചൊവ്വ", "ബുധൻ", "വ്യാഴം", "വെള്ളി", "ശനി", "ഞായർ"],
    months: ["ജനുവരി", "ഫെബ്രുവരി", "മാർച്ച്", "ഏപ്രിൽ", "മേയ്", "ജൂൺ",
             "ജൂലൈ", "ഓഗസ്റ്റ്", "സെപ്റ്റംബർ", "ഒക്ടോബർ", "നവംബർ", "ഡിസംബർ"],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messaging::channels::sms::segments::LONGEST_VARIABLE;

    fn at(instant: &str, zone: &str) -> DateTime<Tz> {
        let instant: DateTime<chrono::Utc> = instant.parse().unwrap();
        instant.with_timezone(&zone.parse().unwrap())
    }

    #[test]
    fn each_language_writes_days_and_hours_its_own_way() {
        let at = at("2026-11-23T05:00:00Z", "Asia/Kolkata");

        for (language, long, short) in [
            (Language::En, "Monday, 23 November 2026, 10:30", "Mon 23 November, 10:30"),
            (Language::Hi, "सोमवार, 23 नवंबर 2026, 10:30 बजे", "सोम 23 नवंबर, 10:30"),
            (Language::Mr, "सोमवार, 23 नोव्हेंबर 2026, 10:30 वा.", "सोम 23 नोव्हेंबर, 10:30"),
            (Language::Ml, "2026 നവംബർ 23, തിങ്കളാഴ്ച, 10:30", "തിങ്കൾ നവംബർ 23, 10:30"),
        ] {
            assert_eq!((language.when(&at), language.when_short(&at)), (long.into(), short.into()));
        }
    }

    #[test]
    fn times_are_told_in_the_locations_zone() {
        let instant = "2026-11-23T20:00:00Z";

        assert_eq!(
            Language::En.when(&at(instant, "Asia/Kolkata")),
            "Tuesday, 24 November 2026, 01:30"
        );
        assert_eq!(
            Language::En.when(&at(instant, "Europe/Berlin")),
            "Monday, 23 November 2026, 21:00"
        );
    }

    #[test]
    fn a_short_time_fits_a_variable_on_every_day_of_a_year() {
        for language in Language::ALL {
            for day in 0..366 {
                let day = at("2027-12-01T18:00:00Z", "UTC") + chrono::Days::new(day);
                let short = language.when_short(&day);
                assert!(short.encode_utf16().count() <= LONGEST_VARIABLE, "{short}");
            }
        }
    }

    #[test]
    fn a_language_falls_from_the_persons_to_the_clinics_to_english() {
        for (person, clinic, chosen) in [
            (Some("hi"), "ml", Language::Hi),
            (Some("ta"), "ml", Language::Ml),
            (None, "mr", Language::Mr),
            (Some("ta"), "te", Language::En),
        ] {
            assert_eq!(Language::chosen(person, clinic), chosen);
        }
    }
}
