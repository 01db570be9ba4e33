//! Shanti: an Ayurvedic hospital with two branches in Kerala.

use super::super::{names, places};
use super::{
    ClinicShape, DoctorShape, LeaveShape, LocationShape, People, Sees, TEA, WEEKDAYS, hours, staff,
};
use chrono_tz::Tz;

const THRISSUR: usize = 0;
const KOTTAKKAL: usize = 1;

/// An Ayurvedic hospital with two branches in Kerala.
pub static SHANTI: ClinicShape = ClinicShape {
    slug: "shanti",
    name: "Shanti Ayurveda Hospital",
    time_zone: Tz::Asia__Kolkata,
    locations: &[
        LocationShape {
            name: "Shanti, Thrissur",
            address: "Shanti Ayurveda Hospital, Palace Road, Thrissur, Kerala 680020",
        },
        LocationShape {
            name: "Shanti, Kottakkal",
            address: "Shanti Ayurveda Hospital, Hospital Road, Kottakkal, Kerala 676503",
        },
    ],
    staff: &[
        staff("clinic_admin", "Indira Menon", "admin@shanti.example", "en"),
        staff("receptionist", "Sreeja Nair", "reception@shanti.example", "ml"),
        staff("receptionist", "Shameer Valappil", "reception.kottakkal@shanti.example", "ml"),
        staff("therapist", "Sobha Kurup", "therapist@shanti.example", "ml"),
        staff("therapist", "Ratheesh Pillai", "ratheesh.pillai@shanti.example", "ml"),
        staff("therapist", "Jessy Devassy", "jessy.devassy@shanti.example", "ml"),
        staff("therapist", "Anvar Pulikkal", "anvar.pulikkal@shanti.example", "ml"),
        staff("pharmacist", "Gopakumar Marar", "pharmacy@shanti.example", "ml"),
        staff("accountant", "Leena Cherian", "accounts@shanti.example", "en"),
    ],
    doctors: &[
        DoctorShape {
            full_name: "Dr. Lakshmi Warrier",
            email: "doctor@shanti.example",
            qualification: "BAMS, MD (Ayu) Kayachikitsa",
            registration_number: "TCMC/A/10482",
            specialties: &["kayachikitsa", "rasayana"],
            languages: &["ml", "en", "hi"],
            fee_rupees: 600,
            slot_minutes: 20,
            sees: Sees::Everyone,
            hours: &[
                hours(&[1, 3, 5], THRISSUR, (9, 0), (13, 0), TEA),
                hours(&[1, 3], THRISSUR, (16, 0), (18, 0), &[]),
                hours(&[2, 4, 6], KOTTAKKAL, (9, 20), (12, 40), TEA),
            ],
        },
        DoctorShape {
            full_name: "Dr. Rajeev Namboodiri",
            email: "rajeev.namboodiri@shanti.example",
            qualification: "BAMS, MD (Ayu) Panchakarma",
            registration_number: "TCMC/A/11937",
            specialties: &["panchakarma", "kayachikitsa"],
            languages: &["ml", "en", "ta"],
            fee_rupees: 700,
            slot_minutes: 30,
            sees: Sees::Everyone,
            hours: &[
                hours(WEEKDAYS, THRISSUR, (9, 0), (13, 0), &[]),
                hours(&[6], THRISSUR, (9, 0), (12, 0), &[]),
            ],
        },
        DoctorShape {
            full_name: "Dr. Suresh Menon",
            email: "suresh.menon@shanti.example",
            qualification: "BAMS, MS (Ayu) Shalya",
            registration_number: "TCMC/A/09215",
            specialties: &["shalya"],
            languages: &["ml", "en"],
            fee_rupees: 600,
            slot_minutes: 20,
            sees: Sees::Everyone,
            hours: &[
                hours(&[1, 2, 4], THRISSUR, (10, 0), (13, 0), TEA),
                hours(&[3, 6], KOTTAKKAL, (10, 0), (13, 0), TEA),
            ],
        },
        DoctorShape {
            full_name: "Dr. Fathima Beevi",
            email: "fathima.beevi@shanti.example",
            qualification: "BAMS, MS (Ayu) Prasuti Tantra and Stri Roga",
            registration_number: "TCMC/A/13340",
            specialties: &["prasuti tantra"],
            languages: &["ml", "en", "hi"],
            fee_rupees: 600,
            slot_minutes: 20,
            sees: Sees::Women,
            hours: &[
                hours(&[1, 3, 5], KOTTAKKAL, (9, 0), (13, 0), TEA),
                hours(&[2, 4], THRISSUR, (14, 0), (17, 0), &[]),
            ],
        },
        DoctorShape {
            full_name: "Dr. Annamma Kurian",
            email: "annamma.kurian@shanti.example",
            qualification: "BAMS, MD (Ayu) Kaumarabhritya",
            registration_number: "TCMC/A/12076",
            specialties: &["kaumarabhritya"],
            languages: &["ml", "en"],
            fee_rupees: 500,
            slot_minutes: 30,
            sees: Sees::Children,
            hours: &[
                hours(&[2, 4, 6], THRISSUR, (15, 30), (18, 0), &[]),
                hours(&[1, 5], KOTTAKKAL, (15, 30), (18, 0), &[]),
            ],
        },
        DoctorShape {
            full_name: "Dr. Harikrishnan Nair",
            email: "harikrishnan.nair@shanti.example",
            qualification: "BAMS, MS (Ayu) Shalakya",
            registration_number: "TCMC/A/14588",
            specialties: &["shalakya"],
            languages: &["ml", "en"],
            fee_rupees: 500,
            slot_minutes: 20,
            sees: Sees::Everyone,
            hours: &[
                hours(&[1, 4], KOTTAKKAL, (9, 0), (12, 0), TEA),
                hours(&[2, 3, 5], THRISSUR, (15, 0), (18, 0), &[]),
            ],
        },
        DoctorShape {
            full_name: "Dr. Deepa Pillai",
            email: "deepa.pillai@shanti.example",
            qualification: "BAMS, MD (Ayu) Swasthavritta",
            registration_number: "TCMC/A/15203",
            specialties: &["swasthavritta", "yoga"],
            languages: &["ml", "en", "ta"],
            fee_rupees: 500,
            slot_minutes: 30,
            sees: Sees::Everyone,
            hours: &[
                hours(&[2, 5], KOTTAKKAL, (9, 0), (13, 0), &[]),
                hours(&[3, 6], THRISSUR, (14, 0), (17, 0), &[]),
            ],
        },
        DoctorShape {
            full_name: "Dr. Thomas Mathew",
            email: "thomas.mathew@shanti.example",
            qualification: "MBBS, MD (General Medicine)",
            registration_number: "TCMC/28417",
            specialties: &["general medicine"],
            languages: &["ml", "en", "hi"],
            fee_rupees: 600,
            slot_minutes: 15,
            sees: Sees::Everyone,
            hours: &[
                hours(&[1, 3, 5], THRISSUR, (17, 0), (20, 0), &[]),
                hours(&[2, 4], KOTTAKKAL, (17, 0), (19, 30), &[]),
                hours(&[7], THRISSUR, (9, 0), (12, 0), &[]),
            ],
        },
    ],
    people: People {
        patients: 120,
        sign_ins: 8,
        communities: &[
            (&names::MALAYALI, 52),
            (&names::KERALA_CHRISTIAN, 18),
            (&names::MAPPILA, 18),
            (&names::TAMIL, 7),
            (&names::HINDI, 5),
        ],
        towns: &[(&places::THRISSUR, THRISSUR), (&places::KOTTAKKAL, KOTTAKKAL)],
        mail_domain: "mail.example.org",
        phone_block: "6950",
    },
    leave: &[
        LeaveShape { doctor: 2, from_day: -12, to_day: -9, reason: "Family function" },
        LeaveShape { doctor: 1, from_day: 9, to_day: 12, reason: "Conference in Jamnagar" },
        LeaveShape { doctor: 5, from_day: 3, to_day: 4, reason: "Personal leave" },
    ],
};
