//! Names by community, as reception would write them: in Latin letters, and a share in the family's own script.
//! The given name always comes first, because messages greet by it.

use super::dice::{Dice, one_of};
use rand::RngExt;

/// Latin spelling, and the family's own script; empty where we write the name in Latin letters alone.
type Spelling = (&'static str, &'static str);

/// A community whose members name each other alike.
pub struct Community {
    /// What they read.
    pub language: &'static str,
    female: &'static [Spelling],
    male: &'static [Spelling],
    last: &'static [Spelling],
    /// Whether the father's or husband's name stands in between.
    middle: bool,
    /// How many in a hundred are registered in their own script.
    own_script_percent: u32,
}

/// A name as it is registered, and as it is spelt in an e-mail address.
pub struct FullName {
    pub written: String,
    pub latin: String,
    pub own_script: bool,
}

impl Community {
    pub(super) fn name(&self, dice: &mut Dice, female: bool) -> FullName {
        let given = one_of(dice, if female { self.female } else { self.male });
        let father = one_of(dice, self.male);
        let last = one_of(dice, self.last);
        let parts = if self.middle { vec![given, father, last] } else { vec![given, last] };
        let join = |spell: fn(&Spelling) -> &'static str| {
            parts.iter().map(spell).collect::<Vec<_>>().join(" ")
        };
        let own_script = dice.random_ratio(self.own_script_percent, 100);
        FullName {
            written: if own_script { join(|s| s.1) } else { join(|s| s.0) },
            own_script,
            latin: format!("{}.{}", given.0, last.0).to_lowercase().replace([' ', '\''], ""),
        }
    }
}

#[rustfmt::skip]
pub static MALAYALI: Community = Community {
    language: "ml", middle: false, own_script_percent: 30,
    female: &[
        ("Anjali", "അഞ്ജലി"), ("Lakshmi", "ലക്ഷ്മി"), ("Sreedevi", "ശ്രീദേവി"), ("Parvathy", "പാർവതി"), ("Divya", "ദിവ്യ"),
        ("Revathi", "രേവതി"), ("Bindu", "ബിന്ദു"), ("Sindhu", "സിന്ധു"), ("Ambika", "അംബിക"), ("Sreelatha", "ശ്രീലത"),
        ("Meera", "മീര"), ("Devika", "ദേവിക"), ("Gayathri", "ഗായത്രി"), ("Radha", "രാധ"), ("Usha", "ഉഷ"),
        ("Jayasree", "ജയശ്രീ"), ("Aswathy", "അശ്വതി"), ("Karthika", "കാർത്തിക"), ("Sandhya", "സന്ധ്യ"), ("Nandana", "നന്ദന"),
    ],
    male: &[
        ("Rajesh", "രാജേഷ്"), ("Suresh", "സുരേഷ്"), ("Unnikrishnan", "ഉണ്ണികൃഷ്ണൻ"), ("Gopalakrishnan", "ഗോപാലകൃഷ്ണൻ"),
        ("Harikumar", "ഹരികുമാർ"), ("Sreejith", "ശ്രീജിത്ത്"), ("Vishnu", "വിഷ്ണു"), ("Anoop", "അനൂപ്"), ("Manoj", "മനോജ്"),
        ("Biju", "ബിജു"), ("Sajeev", "സജീവ്"), ("Raghavan", "രാഘവൻ"), ("Madhavan", "മാധവൻ"), ("Vinod", "വിനോദ്"),
        ("Prasad", "പ്രസാദ്"), ("Arjun", "അർജുൻ"), ("Ajith", "അജിത്ത്"), ("Balachandran", "ബാലചന്ദ്രൻ"), ("Murali", "മുരളി"),
        ("Sivadasan", "ശിവദാസൻ"),
    ],
    last: &[
        ("Nair", "നായർ"), ("Menon", "മേനോൻ"), ("Pillai", "പിള്ള"), ("Warrier", "വാര്യർ"), ("Namboodiri", "നമ്പൂതിരി"),
        ("Panicker", "പണിക്കർ"), ("Kurup", "കുറുപ്പ്"), ("Nambiar", "നമ്പ്യാർ"), ("Marar", "മാരാർ"), ("Varma", "വർമ്മ"),
        ("Kartha", "കർത്താ"), ("Ezhuthachan", "എഴുത്തച്ഛൻ"),
    ],
};

#[rustfmt::skip]
pub static KERALA_CHRISTIAN: Community = Community {
    language: "ml", middle: false, own_script_percent: 25,
    female: &[
        ("Annamma", "അന്നമ്മ"), ("Mariamma", "മറിയാമ്മ"), ("Sosamma", "സോസമ്മ"), ("Elizabeth", "എലിസബത്ത്"),
        ("Rosamma", "റോസമ്മ"), ("Jincy", "ജിൻസി"), ("Anu", "അനു"), ("Thresia", "ത്രേസ്യ"), ("Susan", "സൂസൻ"),
        ("Sherin", "ഷെറിൻ"), ("Aleyamma", "ഏലിയാമ്മ"), ("Molly", "മോളി"),
    ],
    male: &[
        ("Thomas", "തോമസ്"), ("Varghese", "വർഗീസ്"), ("Joseph", "ജോസഫ്"), ("George", "ജോർജ്ജ്"), ("Mathew", "മാത്യു"),
        ("Jacob", "ജേക്കബ്"), ("Paul", "പോൾ"), ("Antony", "ആന്റണി"), ("Philip", "ഫിലിപ്പ്"), ("Jose", "ജോസ്"),
        ("Shaji", "ഷാജി"), ("Sebastian", "സെബാസ്റ്റ്യൻ"),
    ],
    last: &[
        ("Kurian", "കുര്യൻ"), ("Chacko", "ചാക്കോ"), ("Cherian", "ചെറിയാൻ"), ("Abraham", "എബ്രഹാം"), ("Oommen", "ഉമ്മൻ"),
        ("Zachariah", "സക്കറിയ"), ("Devassy", "ദേവസ്സി"), ("Lonappan", "ലോനപ്പൻ"), ("Mani", "മാണി"), ("Ouseph", "ഔസേപ്പ്"),
    ],
};

#[rustfmt::skip]
pub static MAPPILA: Community = Community {
    language: "ml", middle: false, own_script_percent: 25,
    female: &[
        ("Fathima", "ഫാത്തിമ"), ("Ayisha", "ആയിഷ"), ("Khadeeja", "ഖദീജ"), ("Safiya", "സഫിയ"), ("Nafeesa", "നഫീസ"),
        ("Shahana", "ഷഹാന"), ("Ramla", "റംല"), ("Suhara", "സുഹറ"), ("Haseena", "ഹസീന"), ("Jameela", "ജമീല"),
    ],
    male: &[
        ("Muhammed", "മുഹമ്മദ്"), ("Abdurahman", "അബ്ദുറഹ്മാൻ"), ("Ashraf", "അഷ്റഫ്"), ("Hamza", "ഹംസ"),
        ("Ibrahim", "ഇബ്രാഹിം"), ("Moideen", "മൊയ്തീൻ"), ("Salim", "സലീം"), ("Shihab", "ശിഹാബ്"), ("Rasheed", "റഷീദ്"),
        ("Ismail", "ഇസ്മായിൽ"), ("Faisal", "ഫൈസൽ"), ("Nizar", "നിസാർ"),
    ],
    last: &[
        ("Koya", "കോയ"), ("Kutty", "കുട്ടി"), ("Marakkar", "മരക്കാർ"), ("Parambil", "പറമ്പിൽ"), ("Valappil", "വളപ്പിൽ"),
        ("Thekkeveettil", "തെക്കേവീട്ടിൽ"), ("Kizhakkethil", "കിഴക്കേതിൽ"), ("Pulikkal", "പുളിക്കൽ"), ("Arakkal", "അറക്കൽ"),
    ],
};

#[rustfmt::skip]
pub static MARATHI: Community = Community {
    language: "mr", middle: true, own_script_percent: 35,
    female: &[
        ("Sneha", "स्नेहा"), ("Priya", "प्रिया"), ("Vaishali", "वैशाली"), ("Sunita", "सुनीता"), ("Mangal", "मंगल"), ("Savita", "सविता"),
        ("Anuradha", "अनुराधा"), ("Shubhangi", "शुभांगी"), ("Ashwini", "अश्विनी"), ("Kavita", "कविता"), ("Rutuja", "ऋतुजा"),
        ("Manisha", "मनीषा"), ("Ujjwala", "उज्ज्वला"), ("Pallavi", "पल्लवी"), ("Jyoti", "ज्योती"), ("Sharada", "शारदा"),
    ],
    male: &[
        ("Prakash", "प्रकाश"), ("Sachin", "सचिन"), ("Vijay", "विजय"), ("Sunil", "सुनील"), ("Ganesh", "गणेश"), ("Mahesh", "महेश"),
        ("Sanjay", "संजय"), ("Anil", "अनिल"), ("Rahul", "राहुल"), ("Amol", "अमोल"), ("Dattatray", "दत्तात्रय"), ("Nitin", "नितीन"),
        ("Shrikant", "श्रीकांत"), ("Vasant", "वसंत"), ("Omkar", "ओंकार"), ("Yogesh", "योगेश"),
    ],
    last: &[
        ("Kulkarni", "कुलकर्णी"), ("Deshpande", "देशपांडे"), ("Joshi", "जोशी"), ("Patil", "पाटील"), ("Jadhav", "जाधव"),
        ("Shinde", "शिंदे"), ("Pawar", "पवार"), ("Gaikwad", "गायकवाड"), ("Bhosale", "भोसले"), ("More", "मोरे"), ("Kale", "काळे"),
        ("Sawant", "सावंत"), ("Deshmukh", "देशमुख"), ("Gokhale", "गोखले"), ("Chavan", "चव्हाण"), ("Kadam", "कदम"),
    ],
};

#[rustfmt::skip]
pub static HINDI: Community = Community {
    language: "hi", middle: false, own_script_percent: 20,
    female: &[
        ("Pooja", "पूजा"), ("Neha", "नेहा"), ("Rekha", "रेखा"), ("Shalini", "शालिनी"), ("Kiran", "किरण"), ("Suman", "सुमन"),
        ("Preeti", "प्रीति"), ("Archana", "अर्चना"), ("Nisha", "निशा"), ("Geeta", "गीता"),
    ],
    male: &[
        ("Amit", "अमित"), ("Rajendra", "राजेंद्र"), ("Deepak", "दीपक"), ("Manish", "मनीष"), ("Rohit", "रोहित"), ("Ashok", "अशोक"),
        ("Vikas", "विकास"), ("Pankaj", "पंकज"), ("Ramesh", "रमेश"), ("Sandeep", "संदीप"),
    ],
    last: &[
        ("Sharma", "शर्मा"), ("Verma", "वर्मा"), ("Gupta", "गुप्ता"), ("Singh", "सिंह"), ("Yadav", "यादव"), ("Mishra", "मिश्रा"),
        ("Tiwari", "तिवारी"), ("Agarwal", "अग्रवाल"), ("Srivastava", "श्रीवास्तव"), ("Chaudhary", "चौधरी"),
    ],
};

/// The second name is the father's or husband's own.
#[rustfmt::skip]
pub static TAMIL: Community = Community {
    language: "ta", middle: false, own_script_percent: 0,
    female: &[
        ("Meenakshi", ""), ("Kavitha", ""), ("Vasantha", ""), ("Thenmozhi", ""), ("Selvi", ""), ("Malathi", ""),
        ("Kalaivani", ""), ("Ponni", ""), ("Saraswathi", ""),
    ],
    male: &[
        ("Murugan", ""), ("Senthil", ""), ("Karthik", ""), ("Saravanan", ""), ("Ilango", ""), ("Bharathi", ""),
        ("Kannan", ""), ("Prabhakaran", ""), ("Velu", ""),
    ],
    last: &[
        ("Subramanian", ""), ("Sundaram", ""), ("Raman", ""), ("Palaniappan", ""), ("Chidambaram", ""), ("Natarajan", ""),
        ("Arumugam", ""), ("Rajagopal", ""),
    ],
};

#[rustfmt::skip]
pub static GUJARATI: Community = Community {
    language: "gu", middle: false, own_script_percent: 0,
    female: &[
        ("Hetal", ""), ("Bhavna", ""), ("Nimisha", ""), ("Komal", ""), ("Dipti", ""), ("Jigna", ""), ("Urvashi", ""),
    ],
    male: &[
        ("Jignesh", ""), ("Hitesh", ""), ("Kalpesh", ""), ("Bhavesh", ""), ("Nirav", ""), ("Chirag", ""), ("Mukesh", ""),
    ],
    last: &[
        ("Patel", ""), ("Shah", ""), ("Mehta", ""), ("Desai", ""), ("Trivedi", ""), ("Parekh", ""), ("Vora", ""), ("Joshi", ""),
    ],
};

#[rustfmt::skip]
pub static DECCANI_MUSLIM: Community = Community {
    language: "hi", middle: false, own_script_percent: 0,
    female: &[
        ("Shabana", ""), ("Nasreen", ""), ("Rubina", ""), ("Yasmin", ""), ("Zainab", ""), ("Farzana", ""), ("Tabassum", ""),
    ],
    male: &[
        ("Imran", ""), ("Javed", ""), ("Salman", ""), ("Aslam", ""), ("Irfan", ""), ("Yusuf", ""), ("Nadeem", ""),
    ],
    last: &[
        ("Shaikh", ""), ("Khan", ""), ("Sayyed", ""), ("Pathan", ""), ("Ansari", ""), ("Inamdar", ""), ("Mulla", ""), ("Attar", ""),
    ],
};

#[rustfmt::skip]
pub static GOAN_CHRISTIAN: Community = Community {
    language: "en", middle: false, own_script_percent: 0,
    female: &[
        ("Maria", ""), ("Lorna", ""), ("Sharon", ""), ("Philomena", ""), ("Cynthia", ""), ("Rosita", ""),
    ],
    male: &[
        ("Savio", ""), ("Melwyn", ""), ("Francis", ""), ("Allan", ""), ("Caetano", ""), ("Rohan", ""),
    ],
    last: &[
        ("D'Souza", ""), ("Fernandes", ""), ("Pereira", ""), ("Rodrigues", ""), ("Lobo", ""), ("Pinto", ""), ("D'Mello", ""),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_normalization::is_nfc;

    #[test]
    fn every_name_has_the_scripts_that_its_community_is_written_in() {
        let all = [
            &MALAYALI,
            &KERALA_CHRISTIAN,
            &MAPPILA,
            &MARATHI,
            &HINDI,
            &TAMIL,
            &GUJARATI,
            &DECCANI_MUSLIM,
            &GOAN_CHRISTIAN,
        ];

        for community in all {
            for (latin, own) in [community.female, community.male, community.last].concat() {
                assert!(latin.is_ascii() && !latin.contains(' '), "{latin} is one Latin word");
                assert_eq!(community.own_script_percent > 0, !own.is_empty(), "{latin}");
                assert!(is_nfc(own) && !own.contains(|c: char| c.is_ascii()), "{latin}: {own}");
            }
        }
    }
}
