//! Arogya: a small practice in Pune, two doctors of modern medicine and one of Ayurveda.

use super::super::{names, places};
use super::{
    BUT_SUNDAY, ClinicShape, DoctorShape, LeaveShape, LocationShape, People, Sees, TEA, WEEKDAYS,
    hours, staff,
};
use chrono_tz::Tz;

/// A small practice in Pune.
pub static AROGYA: ClinicShape = ClinicShape {
    slug: "arogya",
    name: "Arogya Clinic",
    time_zone: Tz::Asia__Kolkata,
    locations: &[LocationShape {
        name: "Arogya Clinic, Kothrud",
        address: "Arogya Clinic, Paud Road, Kothrud, Pune, Maharashtra 411038",
    }],
    staff: &[
        staff("clinic_admin", "Meenal Deshpande", "admin@arogya.example", "en"),
        staff("receptionist", "Swati Jadhav", "reception@arogya.example", "mr"),
        staff("therapist", "Nilesh Gaikwad", "therapist@arogya.example", "mr"),
        staff("pharmacist", "Asif Shaikh", "pharmacy@arogya.example", "hi"),
        staff("accountant", "Hetal Shah", "accounts@arogya.example", "en"),
    ],
    doctors: &[
        DoctorShape {
            full_name: "Dr. Aparna Kulkarni",
            email: "doctor@arogya.example",
            qualification: "MBBS, DNB (Family Medicine)",
            registration_number: "MMC/2009/04/1284",
            specialties: &["general medicine"],
            languages: &["mr", "hi", "en"],
            fee_rupees: 500,
            slot_minutes: 20,
            sees: Sees::Everyone,
            hours: &[hours(BUT_SUNDAY, 0, (9, 20), (13, 0), TEA)],
        },
        DoctorShape {
            full_name: "Dr. Shrikant Joshi",
            email: "shrikant.joshi@arogya.example",
            qualification: "BAMS, MD (Ayu) Kayachikitsa",
            registration_number: "MCIM/I-41873-A",
            specialties: &["kayachikitsa", "panchakarma"],
            languages: &["mr", "hi", "en"],
            fee_rupees: 400,
            slot_minutes: 20,
            sees: Sees::Everyone,
            hours: &[
                hours(WEEKDAYS, 0, (17, 0), (20, 0), &[]),
                hours(&[7], 0, (10, 0), (12, 0), &[]),
            ],
        },
        DoctorShape {
            full_name: "Dr. Zainab Inamdar",
            email: "zainab.inamdar@arogya.example",
            qualification: "MBBS, DCH",
            registration_number: "MMC/2014/07/2951",
            specialties: &["paediatrics"],
            languages: &["mr", "hi", "en"],
            fee_rupees: 450,
            slot_minutes: 30,
            sees: Sees::Children,
            hours: &[hours(&[2, 4, 6], 0, (14, 0), (17, 0), &[])],
        },
    ],
    people: People {
        patients: 100,
        sign_ins: 4,
        communities: &[
            (&names::MARATHI, 58),
            (&names::HINDI, 14),
            (&names::DECCANI_MUSLIM, 11),
            (&names::GUJARATI, 9),
            (&names::GOAN_CHRISTIAN, 5),
            (&names::TAMIL, 3),
        ],
        towns: &[(&places::PUNE, 0)],
        mail_domain: "mail.example.com",
        phone_block: "6951",
    },
    leave: &[LeaveShape { doctor: 1, from_day: 8, to_day: 10, reason: "Out of station" }],
};
