//! Trial: ten doctors who sit from morning to night, for a load test. How many patients there are, its caller says.

use super::super::{names, places};
use super::{
    BUT_SUNDAY, ClinicShape, DoctorShape, HoursShape, LocationShape, People, Sees, hours, staff,
};
use chrono_tz::Tz;

const THRISSUR: usize = 0;
const KOTTAKKAL: usize = 1;

const IN_THRISSUR: &[HoursShape] =
    &[hours(BUT_SUNDAY, THRISSUR, (8, 0), (20, 0), &[((13, 0), (14, 0))])];
const IN_KOTTAKKAL: &[HoursShape] =
    &[hours(BUT_SUNDAY, KOTTAKKAL, (8, 0), (20, 0), &[((13, 0), (14, 0))])];

/// Patients and zone are stand-ins.
pub static TRIAL: ClinicShape = ClinicShape {
    slug: "trial",
    name: "Trial",
    time_zone: Tz::Asia__Kolkata,
    locations: &[
        LocationShape {
            name: "Trial branch, Thrissur",
            address: "Palace Road, Thrissur, Kerala 680020",
        },
        LocationShape {
            name: "Trial branch, Kottakkal",
            address: "Hospital Road, Kottakkal, Kerala 676503",
        },
    ],
    staff: &[staff("receptionist", "Remya Nair", "reception@trial.example", "ml")],
    doctors: &[
        doctor("Dr. Asha Menon", "asha.menon@trial.example", "TCMC/A/16011", IN_THRISSUR),
        doctor("Dr. Jayan Pillai", "jayan.pillai@trial.example", "TCMC/A/16027", IN_THRISSUR),
        doctor("Dr. Sajitha Kurup", "sajitha.kurup@trial.example", "TCMC/A/16112", IN_THRISSUR),
        doctor("Dr. Roy Abraham", "roy.abraham@trial.example", "TCMC/A/16240", IN_THRISSUR),
        doctor("Dr. Nadeera Koya", "nadeera.koya@trial.example", "TCMC/A/16305", IN_THRISSUR),
        doctor("Dr. Vivek Varma", "vivek.varma@trial.example", "TCMC/A/16418", IN_KOTTAKKAL),
        doctor("Dr. Sheela Marar", "sheela.marar@trial.example", "TCMC/A/16533", IN_KOTTAKKAL),
        doctor("Dr. Anas Arakkal", "anas.arakkal@trial.example", "TCMC/A/16609", IN_KOTTAKKAL),
        doctor("Dr. Liza Chacko", "liza.chacko@trial.example", "TCMC/A/16742", IN_KOTTAKKAL),
        doctor("Dr. Ganesh Raman", "ganesh.raman@trial.example", "TCMC/A/16850", IN_KOTTAKKAL),
    ],
    people: People {
        patients: 0,
        sign_ins: 0,
        communities: &[
            (&names::MALAYALI, 30),
            (&names::KERALA_CHRISTIAN, 12),
            (&names::MAPPILA, 12),
            (&names::MARATHI, 20),
            (&names::HINDI, 10),
            (&names::TAMIL, 6),
            (&names::GUJARATI, 4),
            (&names::DECCANI_MUSLIM, 4),
            (&names::GOAN_CHRISTIAN, 2),
        ],
        towns: &[(&places::THRISSUR, THRISSUR), (&places::KOTTAKKAL, KOTTAKKAL)],
        mail_domain: "mail.trial.example.org",
        phone_block: "696",
    },
    leave: &[],
};

const fn doctor(
    full_name: &'static str,
    email: &'static str,
    registration_number: &'static str,
    hours: &'static [HoursShape],
) -> DoctorShape {
    DoctorShape {
        full_name,
        email,
        qualification: "BAMS, MD (Ayu) Kayachikitsa",
        registration_number,
        specialties: &["kayachikitsa"],
        languages: &["ml", "en"],
        fee_rupees: 500,
        slot_minutes: 15,
        sees: Sees::Everyone,
        hours,
    }
}
