//! Why people say they come: complaints in their own words and visits of a course, never a diagnosis.

/// What a doctor of that specialty hears most.
pub(super) fn of(specialty: &str) -> &'static [&'static str] {
    match specialty {
        "kayachikitsa" => &[
            "Burning in the stomach after meals",
            "Knee pain, worse on stairs",
            "Poor sleep for some weeks",
            "Low back pain after long driving",
            "Tired all day, little appetite",
            "Stiff joints in the morning",
            "Review of medicines",
            "Blood sugar review, reports to show",
            "Headache three or four times a week",
        ],
        "panchakarma" => &[
            "Abhyanga and svedana, third session",
            "First talk about a Panchakarma course",
            "Review after the course, diet to follow",
            "Shirodhara, as advised",
            "Kati basti, second session",
            "Stiff neck and shoulders, desk work",
            "Basti course, review of the week",
        ],
        "shalya" => &[
            "Pain when sitting for long",
            "Kshara sutra, change of thread",
            "Wound dressing",
            "Heel pain on the first steps of the morning",
            "Lump on the back, wants it looked at",
            "Review after the procedure",
        ],
        "shalakya" => &[
            "Watering eyes since last week",
            "Blocked nose every morning",
            "Ear pain, left side",
            "Eye strain from screens",
            "Nasya, as advised",
            "Sore throat that keeps coming back",
        ],
        "prasuti tantra" => &[
            "Irregular periods",
            "Pain during periods",
            "Antenatal visit, sixth month",
            "Care after delivery, fourth week",
            "Advice before planning a pregnancy",
            "Hot flushes and poor sleep",
        ],
        "kaumarabhritya" => &[
            "Cough at night for a week",
            "Eats little, slow to gain weight",
            "Swarnaprashana, monthly dose",
            "Frequent colds since school began",
            "Itchy skin at the elbows",
            "Tummy ache before school",
        ],
        "paediatrics" => &[
            "Fever since last night",
            "Growth check",
            "Vaccination, as due",
            "Cough and cold",
            "Ear pain",
            "Loose motions since this morning",
            "Medical certificate for school",
        ],
        "swasthavritta" => &[
            "Diet and daily routine advice",
            "Weight management, monthly review",
            "Yoga advice for back pain",
            "Hair fall and dry scalp",
            "Stress at work, wants advice",
            "Seasonal check-up before the monsoon",
        ],
        _ => &[
            "Fever since yesterday",
            "Cough and cold",
            "Blood pressure check",
            "Reports to show",
            "Sore throat and body ache",
            "Loose motions since this morning",
            "Medical certificate for leave",
            "Itchy rash on the arms",
            "Dizzy on standing up",
            "Review of medicines",
        ],
    }
}

/// What nobody can do over video or away from the clinic's rooms.
pub(super) const HANDS_ON: &[&str] = &[
    "Abhyanga and svedana, third session",
    "Shirodhara, as advised",
    "Kati basti, second session",
    "Kshara sutra, change of thread",
    "Wound dressing",
    "Lump on the back, wants it looked at",
    "Nasya, as advised",
    "Swarnaprashana, monthly dose",
    "Vaccination, as due",
    "Blood pressure check",
];

/// Why a visit was called off.
pub(super) const CANCELLED: &[&str] = &[
    "The patient asked for another day",
    "Out of town",
    "Feels better, will call again",
    "No transport today",
    "Family function",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_hands_is_spelt_as_it_is_said() {
        let specialties = [
            "panchakarma",
            "shalya",
            "shalakya",
            "kaumarabhritya",
            "paediatrics",
            "general medicine",
        ];
        for reason in HANDS_ON {
            assert!(specialties.iter().any(|specialty| of(specialty).contains(reason)), "{reason}");
        }
    }
}
