//! Where patients live: towns, their localities with postal codes, and how an address there reads.

use super::dice::{Dice, one_of};
use rand::RngExt;

/// A town, and the branch that its people go to.
pub struct Town {
    name: &'static str,
    state: &'static str,
    localities: &'static [(&'static str, &'static str)],
    houses: &'static [&'static str],
    /// Kerala names its houses; a city numbers its flats.
    flats: bool,
}

impl Town {
    pub(super) fn address(&self, dice: &mut Dice) -> String {
        let house = one_of(dice, self.houses);
        let (locality, postal_code) = one_of(dice, self.localities);
        let door = if self.flats {
            let wing = one_of(dice, &["A", "B", "C"]);
            format!("{wing}-{}0{}", dice.random_range(1..=9), dice.random_range(1..=6))
        } else {
            format!("{}/{}", dice.random_range(1..=24), dice.random_range(101..=899))
        };
        format!("{door}, {house}, {locality}, {}, {} {postal_code}", self.name, self.state)
    }
}

const KERALA_HOUSES: &[&str] = &[
    "Sreelakam",
    "Thekkedath House",
    "Puthenveettil",
    "Krishna Nivas",
    "Ashirvad",
    "Kalathil House",
    "Chembakassery",
    "Vadakkedath",
    "Kizhakkeppat House",
    "Sivasakthi",
    "Padinjarethala",
    "Manjadi",
    "Parvathy Nilayam",
    "Anugraha",
];

pub static THRISSUR: Town = Town {
    name: "Thrissur",
    state: "Kerala",
    localities: &[
        ("Swaraj Round", "680001"),
        ("Punkunnam", "680002"),
        ("Ayyanthole", "680003"),
        ("Viyyur", "680010"),
        ("Guruvayur", "680101"),
        ("Irinjalakuda", "680121"),
        ("Ollur", "680306"),
        ("Kunnamkulam", "680503"),
        ("Mannuthy", "680651"),
    ],
    houses: KERALA_HOUSES,
    flats: false,
};

pub static KOTTAKKAL: Town = Town {
    name: "Kottakkal",
    state: "Kerala",
    localities: &[
        ("Changuvetty", "676503"),
        ("Edarikode", "676501"),
        ("Kadampuzha", "676553"),
        ("Valanchery", "676552"),
        ("Parappur", "676503"),
        ("Malappuram Road", "676505"),
    ],
    houses: KERALA_HOUSES,
    flats: false,
};

pub static PUNE: Town = Town {
    name: "Pune",
    state: "Maharashtra",
    localities: &[
        ("Kothrud", "411038"),
        ("Sadashiv Peth", "411030"),
        ("Deccan Gymkhana", "411004"),
        ("Aundh", "411007"),
        ("Hadapsar", "411028"),
        ("Baner", "411045"),
        ("Karve Nagar", "411052"),
        ("Bibwewadi", "411037"),
        ("Wanowrie", "411040"),
    ],
    houses: &[
        "Sai Residency",
        "Shree Ganesh Society",
        "Parijat Apartments",
        "Vrindavan Heights",
        "Sahyadri Society",
        "Swapnapurti",
        "Indraprastha",
        "Kumar Park",
        "Mayur Colony",
        "Tulsi Vihar",
    ],
    flats: true,
};
